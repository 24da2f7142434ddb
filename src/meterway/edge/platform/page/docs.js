"use strict";

const origin = location.origin;
const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const names = { en: "English", zh: "中文", ja: "日本語" };
let texts = {};

// Storage is refused to readers who block site data; the switch then holds until they leave.
function remembered() {
  try { return localStorage.getItem("language"); } catch { return null; }
}

function remember(language) {
  try { localStorage.setItem("language", language); } catch { /* see above */ }
}

// The switch, else what the reader's browser asks for, else English.
function preferred() {
  const wished = [remembered(), ...navigator.languages];
  return wished.map((wish) => wish?.slice(0, 2)).find((wish) => wish in texts) || "en";
}

function speak(language) {
  document.documentElement.lang = language;
  byId("language").value = language;
  for (const node of document.querySelectorAll("[data-text]")) {
    node.textContent = texts[language][node.dataset.text];
    node.lang = language;
  }
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", texts[language][node.dataset.label]);
  }
}

const said = (tag, text) => make(tag, { "data-text": text });

// The descriptions know two marks: `code` and blank lines between paragraphs.
function prose(text) {
  return text.split(/\n\n+/).map((paragraph) => make("p", {}, ...marked(paragraph)));
}

function marked(text) {
  return text.split("`").map((part, n) => (n % 2 ? make("code", {}, part) : part));
}

const snippets = {
  curl: `curl ${origin}/v1/chat/completions \\
  -H "Authorization: Bearer $METERWAY_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "sandbox/echo", "messages": [{"role": "user", "content": "Hello"}]}'`,
  "OpenAI SDK": `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key="sk-…")
reply = client.chat.completions.create(
    model="sandbox/echo",
    messages=[{"role": "user", "content": "Hello"}],
)
print(reply.choices[0].message.content)`,
  "Anthropic SDK": `from anthropic import Anthropic

client = Anthropic(base_url="${origin}", api_key="sk-…")
reply = client.messages.create(
    model="sandbox/echo",
    max_tokens=100,
    messages=[{"role": "user", "content": "Hello"}],
)
print(reply.content[0].text)`,
  "Claude Code": `export ANTHROPIC_BASE_URL=${origin}
export ANTHROPIC_AUTH_TOKEN=sk-…
claude`,
};

function showSnippet(name) {
  byId("snippet").textContent = snippets[name];
  for (const choice of byId("choices").children) {
    choice.setAttribute("aria-pressed", String(choice.textContent === name));
  }
}

function resolve(schema, whole) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((node, key) => node[key], whole);
}

function kind(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.oneOf || schema.anyOf;
  if (choices) return choices.map(kind).join(" | ");
  if (schema.type === "array") return `array of ${kind(schema.items || {})}`;
  return [].concat(schema.type || "any").join(" | ");
}

function fields(schema, whole) {
  const found = resolve(schema, whole);
  if (!found.properties) return make("p", {}, make("code", {}, kind(found)));
  const needed = new Set(found.required || []);
  return table("type", Object.entries(found.properties).map(([name, property]) =>
    [name, needed.has(name), kind(property), property.description || resolve(property, whole).description]));
}

function parameters(list) {
  return table("place", list.map((item) => [item.name, item.required, item.in, item.description]));
}

function table(second, rows) {
  const cells = rows.map(([name, needed, fact, meaning]) => make("tr", {},
    make("td", {}, make("code", {}, name), needed ? " *" : ""),
    make("td", {}, fact), make("td", {}, ...prose(meaning || ""))));
  const note = rows.some(([, needed]) => needed) ? [said("small", "needed")] : [];
  return make("div", {}, make("table", {}, make("thead", {}, make("tr", {},
    said("th", "field"), said("th", second), said("th", "meaning"))), make("tbody", {}, ...cells)), ...note);
}

async function send(method, path, body, output) {
  output.textContent = "…";
  const headers = {};
  const key = byId("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== null) headers["Content-Type"] = "application/json";
  try {
    const reply = await fetch(path, { method, headers, body });
    output.textContent = `${reply.status} ${reply.headers.get("x-request-id") || ""}\n\n`;
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      output.textContent += value;
    }
  } catch (error) {
    output.textContent += String(error);
  }
}

function filled(path, operation) {
  return path.replace(/\{(\w+)\}/g, (mark, name) =>
    operation.parameters.find((item) => item.name === name)?.example ?? mark);
}

function trial(method, path, operation) {
  const content = operation.requestBody?.content?.["application/json"];
  const example = content ? JSON.stringify(content.example ?? {}, null, 2) : null;
  const address = make("input", { "data-label": "path", value: filled(path, operation), spellcheck: "false" });
  const body = example === null ? null : make("textarea", { "data-label": "body", spellcheck: "false" });
  if (body) body.value = example;
  const output = make("code", { "aria-live": "polite" });
  const go = () => send(method, address.value, body && body.value, output);
  return make("details", {}, said("summary", "try"), make("p", {}, address),
    ...(body ? [body] : []), make("p", {}, make("button", { type: "button", onclick: go, "data-text": "send" })),
    make("pre", { tabindex: "0" }, output));
}

function article(method, path, operation, whole) {
  const content = operation.requestBody?.content?.["application/json"];
  const id = `${method}-${path}`;
  const node = make("article", { id },
    make("h3", {}, make("span", { class: "method" }, method), " ", make("code", {}, path)),
    ...prose(operation.description || operation.summary || ""));
  if (operation.parameters) node.append(said("h4", "parameters"), parameters(operation.parameters));
  if (content) node.append(said("h4", "body"), fields(content.schema, whole));
  node.append(said("h4", "answers"), make("ul", {}, ...Object.entries(operation.responses)
    .map(([status, reply]) => make("li", {}, make("code", {}, status), " ", ...marked(resolve(reply, whole).description)))));
  node.append(trial(method, path, operation));
  return node;
}

function showOperations(whole) {
  byId("version").textContent = whole.info.version;
  byId("about").replaceWith(...prose(whole.info.description));
  for (const tag of whole.tags) {
    byId("index").append(make("h3", {}, tag.name));
    byId("operations").append(make("h2", {}, tag.name), ...prose(tag.description || ""));
    for (const [path, methods] of Object.entries(whole.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (!operation.tags?.includes(tag.name)) continue;
        const name = method.toUpperCase();
        byId("index").append(make("a", { href: `#${name}-${path}` }, operation.summary));
        byId("operations").append(article(name, path, operation, whole));
      }
    }
  }
}

async function show() {
  const wide = matchMedia("(min-width: 50rem)");
  const unfold = () => { byId("menu").open = wide.matches; };
  wide.addEventListener("change", unfold);
  unfold();
  byId("index").addEventListener("click", unfold);
  for (const node of document.querySelectorAll(".base")) node.textContent = origin + node.dataset.path;
  for (const name of Object.keys(snippets)) {
    byId("choices").append(make("button", { type: "button", onclick: () => showSnippet(name) }, name));
  }
  showSnippet("curl");
  texts = await (await fetch("/docs/texts.json")).json();
  for (const language of Object.keys(texts)) {
    byId("language").append(make("option", { value: language, lang: language }, names[language]));
  }
  byId("language").addEventListener("change", () => {
    remember(byId("language").value);
    speak(byId("language").value);
  });
  try {
    showOperations(await (await fetch("/openapi.json")).json());
  } catch {
    byId("operations").append(said("p", "unreadable"));
  }
  speak(preferred());
  byId(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

show();
