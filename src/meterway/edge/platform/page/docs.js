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

// The descriptions know two marks: `code` and blank lines between paragraphs.
function prose(text) {
  return text.split(/\n\n+/).map((paragraph) => {
    const parts = paragraph.split("`").map((part, n) => (n % 2 ? make("code", {}, part) : part));
    return make("p", {}, ...parts);
  });
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
  for (const tab of byId("tabs").children) {
    tab.setAttribute("aria-selected", String(tab.textContent === name));
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
  const rows = Object.entries(found.properties).map(([name, property]) =>
    make("tr", {},
      make("td", {}, make("code", {}, name), needed.has(name) ? " *" : ""),
      make("td", {}, kind(property)),
      make("td", {}, ...prose(property.description || resolve(property, whole).description || ""))));
  return make("table", {}, make("thead", {}, make("tr", {},
    make("th", {}, "field"), make("th", {}, "type"), make("th", {}, "meaning"))),
    make("tbody", {}, ...rows));
}

function parameters(list) {
  const rows = list.map((item) => make("tr", {},
    make("td", {}, make("code", {}, item.name), item.required ? " *" : ""),
    make("td", {}, item.in), make("td", {}, ...prose(item.description || ""))));
  return make("table", {}, make("tbody", {}, ...rows));
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

function trial(method, path, operation) {
  const content = operation.requestBody?.content?.["application/json"];
  const example = content ? JSON.stringify(content.example ?? {}, null, 2) : null;
  const address = make("input", { "aria-label": "path", value: path });
  const body = example === null ? null : make("textarea", { "aria-label": "body", spellcheck: "false" });
  if (body) body.value = example;
  const output = make("code");
  const go = () => send(method, address.value, body && body.value, output);
  return make("details", {}, make("summary", {}, "Try it"), make("p", {}, address),
    ...(body ? [body] : []), make("p", {}, make("button", { type: "button", onclick: go }, "Send")),
    make("pre", {}, output));
}

function article(method, path, operation, whole) {
  const content = operation.requestBody?.content?.["application/json"];
  const id = `${method}-${path}`;
  const node = make("article", { id },
    make("h3", {}, make("span", { class: "method" }, method), " ", make("code", {}, path)),
    ...prose(operation.description || operation.summary || ""));
  if (operation.parameters) node.append(make("h4", {}, "Parameters"), parameters(operation.parameters));
  if (content) node.append(make("h4", {}, "Body"), fields(content.schema, whole));
  node.append(make("h4", {}, "Answers"), make("ul", {}, ...Object.entries(operation.responses)
    .map(([status, reply]) => make("li", {}, make("code", {}, status), ` ${resolve(reply, whole).description}`))));
  node.append(trial(method, path, operation));
  return node;
}

async function show() {
  for (const node of document.querySelectorAll(".base")) node.textContent = origin + node.dataset.path;
  for (const name of Object.keys(snippets)) {
    byId("tabs").append(make("button", { type: "button", role: "tab", onclick: () => showSnippet(name) }, name), " ");
  }
  showSnippet("curl");
  const whole = await (await fetch("/openapi.json")).json();
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

show();
