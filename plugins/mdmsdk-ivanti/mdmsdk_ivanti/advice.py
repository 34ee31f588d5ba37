"""What an administrator should do about a refusal, in words that the native and the ISE providers share."""

__all__ = ["CLOUD_ADDRESS", "CLOUD_LOGIN", "CORE_ADDRESS", "CORE_LOGIN", "NO_PASSWORDS"]

CORE_LOGIN = "Check username and password; the account must be a local user (Devices & Users > Users)."
CORE_ADDRESS = (
    "Check base_url: for EPMM on premises the host alone, for Connected Cloud the account's path with it, as "
    "in https://HOST/ACCOUNT."
)
# Neurons for MDM, "Authentication": with password and PIN for the admin portal, Basic login to the API ends.
NO_PASSWORDS = "If administrators of this tenant sign in with password and PIN, it refuses passwords here"
CLOUD_LOGIN = (
    f"Check username and password of the API user (Users > Add > Add API User). {NO_PASSWORDS}: create a "
    "token for the API user, and set token instead of both."
)
CLOUD_ADDRESS = "Check base_url: the cluster's host alone, such as https://eu1.mobileiron.com."
