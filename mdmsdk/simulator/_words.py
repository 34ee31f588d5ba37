"""Word lists behind the synthetic fleet: people, models and the reasons for which a device can fail."""

from typing import Final, Literal, NamedTuple

Kind = Literal["phone", "tablet", "laptop", "desktop"]
Platform = Literal["iOS", "iPadOS", "Android", "macOS", "Windows"]

FIRST_NAMES: Final = (
    "Ada", "Anna", "Bela", "Carlos", "Chloe", "Daan", "Elif", "Emeka", "Femke", "Grace", "Hana", "Ines",
    "Jan", "José", "Kofi", "Lena", "Liam", "Mei", "Mira", "Nadia", "Noor", "Olga", "Omar", "Pia", "Priya",
    "Quinn", "Rosa", "Ruth", "Sven", "Tara", "Tomás", "Uma", "Vera", "Wim", "Yuki", "Zoë",
)  # fmt: skip

LAST_NAMES: Final = (
    "Abara", "Baker", "Bakker", "Costa", "Dahl", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen",
    "Kaya", "Kim", "Lindqvist", "Lopez", "Marsh", "Meyer", "Novak", "O'Neill", "Okafor", "Park", "Quist",
    "Rao", "Rossi", "Sato", "Silva", "Tan", "Torres", "Udin", "Visser", "Weber", "Xu", "Yilmaz", "Zeman",
)  # fmt: skip

DEPARTMENTS: Final = (
    "Care",
    "Engineering",
    "Finance",
    "Facilities",
    "Research & Development",
    "Sales",
    "Teaching",
)


class Model(NamedTuple):
    """One hardware model and the operating-system versions it is seen with, newest first."""

    kind: Kind
    platform: Platform
    manufacturer: str
    name: str
    identifier: str
    versions: tuple[tuple[str, str], ...]  # (version, build)
    cellular: bool


_IOS = (("18.5", "22F76"), ("18.3.1", "22D72"), ("17.7.2", "21H221"))
_ANDROID = (("15", "AP4A.250205"), ("14", "UP1A.231005"), ("13", "TP1A.220624"))
_MACOS = (("15.5", "24F74"), ("14.7.1", "23H222"), ("13.6.9", "22G830"))
_WINDOWS = (("10.0.26100.4061", "26100"), ("10.0.22631.4602", "22631"), ("10.0.19045.5247", "19045"))

MODELS: Final = (
    Model("phone", "iOS", "Apple", "iPhone 15", "iPhone15,4", _IOS, cellular=True),
    Model("phone", "iOS", "Apple", "iPhone SE (3rd generation)", "iPhone14,6", _IOS, cellular=True),
    Model("phone", "Android", "Samsung", "Galaxy S24", "SM-S921B", _ANDROID, cellular=True),
    Model("phone", "Android", "Google", "Pixel 8", "shiba", _ANDROID, cellular=True),
    Model("tablet", "iPadOS", "Apple", "iPad (10th generation)", "iPad13,18", _IOS, cellular=False),
    Model(
        "tablet", "iPadOS", "Apple", "iPad Pro 11-inch (M4) Wi-Fi + Cellular", "iPad16,4", _IOS, cellular=True
    ),
    Model("tablet", "Android", "Samsung", "Galaxy Tab S9", "SM-X710", _ANDROID, cellular=False),
    Model("laptop", "macOS", "Apple", "MacBook Air (13-inch, M3, 2024)", "Mac15,12", _MACOS, cellular=False),
    Model("laptop", "macOS", "Apple", "MacBook Pro (14-inch, M4, 2024)", "Mac16,1", _MACOS, cellular=False),
    Model("laptop", "Windows", "Lenovo", "ThinkPad X1 Carbon Gen 12", "21KC004RUS", _WINDOWS, cellular=False),
    Model("laptop", "Windows", "Dell Inc.", "Latitude 7450", "0CB8", _WINDOWS, cellular=False),
    Model("desktop", "macOS", "Apple", "Mac mini (M4, 2024)", "Mac16,10", _MACOS, cellular=False),
    Model("desktop", "Windows", "HP", "EliteDesk 800 G9", "8952", _WINDOWS, cellular=False),
)

PHONES: Final = tuple(model for model in MODELS if model.kind == "phone")
LAPTOPS: Final = tuple(model for model in MODELS if model.kind == "laptop")
ANDROIDS: Final = tuple(model for model in MODELS if model.platform == "Android")

# The first letters of the operating system's name when it stands in a free text, as vendors write it.
MOBILE_PLATFORMS: Final = frozenset({"iOS", "iPadOS", "Android"})


class Reason(NamedTuple):
    """One rule that a device can break: what the user reads, and what is then true of the device."""

    code: Literal["passcode", "encryption", "jailbreak", "os", "stale", "protection", "app"]
    text: str
    remediation: str
    mobile: bool  # can happen to phones and tablets
    computer: bool  # can happen to laptops and desktops


# Some texts hold "&", "<", quotes and letters beyond ASCII on purpose: every format has to escape them.
REASONS: Final = (
    Reason(
        "passcode", "No passcode is set", "Set a passcode of 6 digits or more", mobile=True, computer=True
    ),
    Reason("encryption", "The disk is not encrypted", "Turn on disk encryption", mobile=False, computer=True),
    Reason(
        "jailbreak", "The device is jailbroken or rooted", "Restore the system", mobile=True, computer=False
    ),
    Reason(
        "os", "OS version < required minimum", "Install the latest system update", mobile=True, computer=True
    ),
    Reason(
        "stale", "No contact for more than 30 days", "Open the company portal", mobile=True, computer=True
    ),
    Reason(
        "protection",
        "Antivirus & firewall are not running",
        'Start "Endpoint Protection", then check in',
        mobile=False,
        computer=True,
    ),
    Reason("app", "Required app “Café Mail” is missing", "Install the app", mobile=True, computer=True),
)
