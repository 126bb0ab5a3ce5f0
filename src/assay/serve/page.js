"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = name => document.getElementById(name);
const make = (tag, props = {}, ...inside) => {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...inside);
  return made;
};
let example = 0;

function control(column, number) {
  const id = "f" + number;
  if (column.kind === "category" || column.kind === "boolean") {
    const values = column.kind === "boolean" ? ["true", "false"] : column.values;
    return make("select", { id }, make("option", { value: "", textContent: "–" }), ...values.map(value => make("option", { value: "=" + value, textContent: value })));
  }
  if (column.kind === "text") return make("textarea", { id, rows: 2, maxLength: column.max_length });
  const numeric = column.kind === "number" || column.kind === "integer";
  return make("input", { id, type: "text", inputMode: numeric ? "decimal" : "text", autocomplete: "off" });
}

function value(column, given) {
  if (column.kind === "category" || column.kind === "boolean") {
    if (given === "") return undefined;
    return column.kind === "boolean" ? given === "=true" : given.slice(1);
  }
  if (column.kind === "text") return given;
  if (given.trim() === "") return undefined;
  if (column.kind === "number" || column.kind === "integer") {
    const number = Number(given.trim().replace(",", "."));
    return Number.isNaN(number) ? given : number;
  }
  return given.trim();
}

function fill() {
  const row = data.examples[example++ % data.examples.length];
  data.columns.forEach((column, number) => {
    const given = row[column.name];
    const choice = column.kind === "category" || column.kind === "boolean";
    byId("f" + number).value = given === null || given === undefined ? "" : (choice ? "=" : "") + given;
  });
}

data.columns.forEach((column, number) => {
  const small = make("small", { id: "d" + number, textContent: [column.description, column.expected].filter(Boolean).join("; ") });
  const field = control(column, number);
  field.setAttribute("aria-describedby", "d" + number);
  const label = make("label", { htmlFor: field.id, textContent: column.name });
  label.append(small);
  byId("fields").append(make("div", {}, label, field));
});
fill();

async function ask(path, row) {
  const headers = { "content-type": "application/json" };
  if (byId("key").value) headers.authorization = "Bearer " + byId("key").value;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify({ rows: [row] }) });
  if (response.status === 401) byId("key-field").hidden = false;
  const said = await response.json();
  if (!response.ok) throw Object.assign(new Error(said.error), said);
  return said;
}

const short = number => Number(number.toPrecision(4)).toString();
const percent = share => (100 * share).toFixed(1) + " %";

function table(caption, rows) {
  const body = make("tbody", {}, ...rows);
  return make("div", { className: "wide" }, make("table", {}, make("caption", { className: "quiet", textContent: caption }), body));
}

function show(predicted, explained) {
  const one = predicted.predictions[0];
  const parts = [];
  if (one.probabilities) {
    const line = make("p", {}, make("strong", { textContent: one.decision }));
    if (one.decision !== one.prediction) line.append(`, although ${one.prediction} is likelier: of the two errors one costs more`);
    parts.push(line, table("Probabilities", Object.entries(one.probabilities).map(([name, share]) =>
      make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", { className: "number", textContent: percent(share) }),
        make("td", { style: "width:50%" }, make("div", { className: "bar", style: `width:${100 * share}%` }))))));
  } else {
    parts.push(make("p", {}, `${data.target}: `, make("strong", { textContent: short(one.prediction) }), ` ${data.unit}`));
  }
  if (one.warnings) parts.push(make("div", { className: "warn" }, make("p", { textContent: "Unlike anything that the model was trained on:" }), make("ul", {}, ...one.warnings.map(text => make("li", { textContent: text })))));
  if (explained) {
    const why = explained.explanations[0];
    const largest = Math.max(...why.contributions.map(part => Math.abs(part.contribution))) || 1;
    const rows = why.contributions.slice(0, 12).map(part => {
      const bar = make("div", { className: part.contribution < 0 ? "bar down" : "bar", style: `width:${100 * Math.abs(part.contribution) / largest}%` });
      return make("tr", {}, make("th", { scope: "row", textContent: part.column }), make("td", { className: "half" }, part.contribution < 0 ? bar : ""),
        make("td", { className: "half" }, part.contribution < 0 ? "" : bar), make("td", { className: "number", textContent: (part.contribution > 0 ? "+" : "") + short(part.contribution) }));
    });
    parts.push(make("h2", { textContent: `What moved it from ${short(why.background)}, the mean, to ${short(why.score)}` }),
      table(data.classes.length ? `Shares of the probability of ${why.explains}` : `Shares of ${why.explains}`, rows));
  }
  parts.push(make("p", { className: "quiet", textContent: `Prediction ${one.prediction_id} of model ${predicted.model_version}` }));
  byId("answer").replaceChildren(make("div", { className: "answer" }, ...parts));
}

function complain(error) {
  const problems = error.problems && error.problems.length ? error.problems : [error.message];
  const said = problems.map(text => text.replace(/^row 0: /, ""));
  data.columns.forEach((column, number) => byId("f" + number).setAttribute("aria-invalid", said.some(text => text.startsWith(column.name + ":"))));
  byId("answer").replaceChildren(make("div", { className: "answer wrong", role: "alert" }, make("p", { textContent: "No answer:" }), make("ul", {}, ...said.map(text => make("li", { textContent: text })))));
}

byId("form").addEventListener("submit", async event => {
  event.preventDefault();
  const row = {};
  data.columns.forEach((column, number) => {
    const given = value(column, byId("f" + number).value);
    if (given !== undefined) row[column.name] = given;
  });
  try {
    const predicted = await ask("predict", row);
    complain({ problems: [], message: "" });
    show(predicted, await ask("explain", row).catch(() => null));
  } catch (error) {
    complain(error instanceof TypeError ? { message: "The service cannot be reached." } : error);
  }
  byId("answer").focus({ preventScroll: true });
  byId("answer").scrollIntoView({ block: "nearest" });
});
byId("another").addEventListener("click", fill);
