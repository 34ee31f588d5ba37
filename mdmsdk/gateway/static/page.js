// The page of the gateway: asks the REST face, and shows what it says. Whatever comes from there or from a person
// is put in as text, never as markup: names of devices are made by whoever has the device.

const SERVERS_EVERY = 15000; // milliseconds
const DECISIONS_EVERY = 5000;

const DECISIONS = {
  compliant: ["good", "✓ compliant", "The device may pass."],
  noncompliant: ["bad", "✕ noncompliant", "A server, or a rule, says that the device does not comply."],
  grace: ["doubt", "… grace", "The device does not comply, and still has time to."],
  unknown: ["doubt", "? unknown", "No server can say whether this device complies."],
  not_registered: ["bad", "– not registered", "Every server says that it does not manage this device."],
  no_answer: ["doubt", "! no answer", "A server that may know the device could not be asked."],
};
const STATUSES = {
  found: "knows the device",
  not_found: "does not know it",
  unsupported: "cannot search by this",
  error: "failed",
  not_asked: "was not asked: the identifier belongs to another vendor",
};

// The key lives here and nowhere else: not in storage, where it would outlive the page, and in no cookie, which a
// browser would send for whoever asks it to.
let key = "";
let rounds = 0;

const at = (id) => document.getElementById(id);

function make(tag, content = [], className = "") {
  const node = document.createElement(tag);
  node.append(...[content].flat().filter((part) => part !== null && part !== ""));
  if (className) node.className = className;
  return node;
}

function badge(decision) {
  const [className, words] = DECISIONS[decision] ?? ["doubt", String(decision)];
  return make("span", words, `badge ${className}`);
}

function table(title, names, rows) {
  const head = names.map((name) => {
    const cell = make("th", name);
    cell.scope = "col";
    return cell;
  });
  const body = rows.map((cells) => make("tr", cells.map((cell) => (cell?.tagName === "TD" ? cell : make("td", cell ?? "")))));
  return make("table", [make("caption", title), make("thead", make("tr", head)), make("tbody", body)]);
}

function age(seconds) {
  if (seconds < 1) return "now";
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

// What is wrong, and what to do.
function both(message, hint) {
  return [message, hint].filter(Boolean).map((text) => text.replace(/\.?$/, ".")).join(" ");
}

function identifier(one) {
  const kind = [...at("kind").options].find((option) => option.value === one.kind)?.text ?? one.kind;
  return kind ? `${kind} ${one.key}` : one.key;
}

function since(moment) {
  return age((Date.now() - Date.parse(moment)) / 1000);
}

class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function ask(path, body) {
  const options = { headers: { Authorization: `Bearer ${key}` }, credentials: "omit", cache: "no-store", redirect: "error" };
  if (body) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(0, "The gateway cannot be reached.");
  }
  const said = await response.json().catch(() => ({}));
  if (response.ok) return said;
  throw new Problem(response.status, both(said.detail ?? `status ${response.status}`, said.hint));
}

function trouble(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

// Say in its own place what one part cannot show; a key that is not known, or too many requests, concern all of them.
function failed(place, problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (problem.status === 401) {
    leave();
    trouble(`${problem.message} The key was forgotten: enter it again.`);
  } else if (problem.status === 429) {
    trouble(problem.message);
  } else {
    place.replaceChildren(make("p", problem.message, "trouble told"));
  }
}

async function part(place, work) {
  const round = rounds;
  try {
    const shown = await work();
    if (round === rounds) place.replaceChildren(...shown);
  } catch (problem) {
    if (round === rounds) failed(place, problem);
  }
}

function showServers() {
  return part(at("servers"), async () => {
    const rows = (await ask("v1/servers")).map((one) => [
      one.server,
      one.ok ? make("span", "✓ answers", "badge good") : make("span", "✕ does not answer", "badge bad"),
      one.ok ? [one.product ?? one.vendor, one.version].filter(Boolean).join(" ") : both(one.error?.message, one.error?.hint),
      one.provider,
      make("td", `${Math.round(one.elapsed_ms)} ms`, "short"),
    ]);
    return [table("Servers", ["Server", "Health", "Says", "Provider", "Took"], rows)];
  });
}

function showDecisions() {
  return part(at("decisions"), async () => {
    const told = await ask("v1/decisions");
    if (!told.length) return [make("p", "Nobody has asked yet.", "soft")];
    const rows = told.slice(0, 50).map((one) => [
      make("td", new Date(one.at).toLocaleTimeString(), "short"),
      badge(one.decision),
      identifier(one),
      one.reason,
      `${one.name} (${one.face})`,
      make("td", age(one.age), "short"),
    ]);
    return [table("Newest decisions", ["At", "Decision", "Identifier", "Why", "Asked by", "Age"], rows)];
  });
}

function facts(one) {
  const device = one.device;
  const compliance = device?.compliance ?? {};
  const reasons = compliance.reasons?.length ? compliance.reasons : [one.reason].filter(Boolean);
  const proven = one.proof.length ? `shown by the record of ${one.proof.join(", ")}` : "no record shows this identifier";
  const pairs = [
    ["Identifier", identifier(one)],
    ["Reasons", reasons.length ? make("ul", reasons.map((text) => make("li", text))) : ""],
    ["What to do", compliance.remediation],
    ["Overruled", one.override ? `${one.override.decision} until ${one.override.until} by ${one.override.by}: ${one.override.reason}` : ""],
    ["Proof", one.found ? proven : ""],
    ["Age of the answer", age(one.age)],
    ["Device", [device?.name, device?.manufacturer, device?.model].filter(Boolean).join(", ")],
    ["System", [device?.os, device?.os_version].filter(Boolean).join(" ")],
    ["User", device?.user],
    ["Serial number", device?.serial_number],
    ["Last check-in", device?.last_check_in ? since(device.last_check_in) : ""],
  ];
  return make("dl", pairs.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

function answer(one) {
  const rows = one.outcomes.map((outcome) => [
    outcome.server,
    STATUSES[outcome.status] ?? outcome.status,
    both(outcome.error?.message, outcome.error?.hint),
    make("td", `${Math.round(outcome.elapsed_ms)} ms`, "short"),
  ]);
  const means = DECISIONS[one.decision]?.[2] ?? "";
  const whole = one.complete ? "" : " Not every server that could judge the device has spoken.";
  return [
    make("p", [badge(one.decision), ` ${means}${whole}`]),
    facts(one),
    make("div", table("What each server said", ["Server", "Says", "Error", "Took"], rows), "wide"),
  ];
}

function leave() {
  key = "";
  rounds += 1;
  at("enter").hidden = false;
  at("outside").hidden = false;
  at("leave").hidden = true;
  at("inside").hidden = true;
  for (const id of ["answer", "servers", "decisions"]) at(id).replaceChildren();
  at("ask").reset();
  at("key").focus();
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value.trim();
  at("enter").reset();
  rounds += 1;
  trouble("");
  at("enter").hidden = true;
  at("outside").hidden = true;
  at("leave").hidden = false;
  at("inside").hidden = false;
  at("value").focus();
  showServers();
  showDecisions();
});

at("leave").addEventListener("click", () => {
  trouble("");
  leave();
});

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  trouble("");
  const button = at("ask").querySelector("button");
  const kind = at("kind").value;
  const value = at("value").value.trim();
  button.disabled = true;
  await part(at("answer"), async () => answer(await ask("v1/lookup", { chain: [kind ? `${kind}:${value}` : value] })));
  button.disabled = false;
  if (key) showDecisions();
});

function again(show, every) {
  setInterval(() => key && !document.hidden && show(), every);
}

again(showServers, SERVERS_EVERY);
again(showDecisions, DECISIONS_EVERY);
