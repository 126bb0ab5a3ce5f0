"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = name => document.getElementById(name);
const make = (tag, props = {}, ...inside) => {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...inside);
  return made;
};
const isNumeric = column => column.kind === "number" || column.kind === "integer";
let example = 0;
let asking = new AbortController();

function control(column, number) {
  const id = "f" + number;
  if (column.kind === "category" || column.kind === "boolean") {
    const values = column.kind === "boolean" ? ["true", "false"] : column.values;
    return make("select", { id }, make("option", { value: "", textContent: "–" }), ...values.map(value => make("option", { value: "=" + value, textContent: value })));
  }
  if (column.kind === "text") return make("textarea", { id, rows: 2, maxLength: column.max_length });
  return make("input", { id, type: "text", inputMode: isNumeric(column) ? "decimal" : "text", autocomplete: "off" });
}

// 1,234 may mean 1234 or 1.234.
const isEither = text => /^[+-]?[1-9]\d{0,2},\d{3}(e|$)/i.test(text);

function parsed(text) {
  if (isEither(text) || !/^[+-]?(\d+\.?|\d*[.,]\d+)(e[+-]?\d+)?$/i.test(text)) return undefined;
  const read = Number(text.replace(",", "."));
  // JSON has no infinity: it would be sent as null, which is a missing value.
  return Number.isFinite(read) ? read : undefined;
}

function advice(column, given) {
  const text = given.trim();
  if (!isNumeric(column) || !text.includes(",") || parsed(text) !== undefined) return "";
  if (isEither(text)) return `: write ${text.replace(",", "")} or ${text.replace(",", ".")}`;
  return ": use a point before the decimals and no thousands separator";
}

function value(column, given) {
  if (column.kind === "category" || column.kind === "boolean") {
    if (given === "") return undefined;
    return column.kind === "boolean" ? given === "=true" : given.slice(1);
  }
  if (column.kind === "text") return given;
  if (given.trim() === "") return undefined;
  // Send text that is not a number as it is: the service refuses it together with all other problems of the row.
  return (isNumeric(column) ? parsed(given.trim()) : undefined) ?? given.trim();
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
  field.setAttribute("aria-describedby", `d${number} m${number}`);
  const label = make("label", { htmlFor: field.id, textContent: column.name });
  label.append(small);
  byId("fields").append(make("div", {}, label, make("small", { id: "m" + number, className: "wrong" }), field));
});
fill();

async function ask(path, row, signal) {
  const headers = { "content-type": "application/json" };
  if (byId("key").value) headers.authorization = "Bearer " + byId("key").value;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify({ rows: [row] }), signal });
  if (response.status === 401) byId("key-field").hidden = false;
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), answer);
  return answer;
}

const short = number => Number(number.toPrecision(4)).toString();
const percent = share => (100 * share).toFixed(1) + " %";

function table(caption, rows) {
  const body = make("tbody", {}, ...rows);
  return make("div", { className: "wide" }, make("table", {}, make("caption", { className: "quiet", textContent: caption }), body));
}

function show(predicted) {
  const one = predicted.predictions[0];
  const parts = [];
  if (one.probabilities) {
    const line = make("p", {}, make("strong", { textContent: one.decision }));
    if (one.decision !== one.prediction) line.append(`, although ${one.prediction} is more probable: one of the two errors costs more`);
    parts.push(line, table("Probabilities", Object.entries(one.probabilities).map(([name, share]) =>
      make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", { className: "number", textContent: percent(share) }),
        make("td", { style: "width:50%" }, make("div", { className: "bar", style: `width:${100 * share}%` }))))));
  } else {
    parts.push(make("p", {}, `${data.target}: `, make("strong", { textContent: short(one.prediction) }), ` ${data.unit}`));
  }
  if (one.warnings) parts.push(make("div", { className: "warn" }, make("p", { textContent: "Outside the training range:" }), make("ul", {}, ...one.warnings.map(text => make("li", { textContent: text })))));
  parts.push(make("div", { id: "why" }), make("p", { className: "quiet", textContent: `Prediction ${one.prediction_id} of model ${predicted.model_version}` }));
  byId("answer").replaceChildren(make("div", { className: "answer" }, ...parts));
}

function explain(explained) {
  const why = explained.explanations[0];
  const largest = Math.max(...why.contributions.map(part => Math.abs(part.contribution))) || 1;
  const rows = why.contributions.slice(0, 12).map(part => {
    const bar = make("div", { className: part.contribution < 0 ? "bar down" : "bar", style: `width:${100 * Math.abs(part.contribution) / largest}%` });
    return make("tr", {}, make("th", { scope: "row", textContent: part.column }), make("td", { className: "half" }, part.contribution < 0 ? bar : ""),
      make("td", { className: "half" }, part.contribution < 0 ? "" : bar), make("td", { className: "number", textContent: (part.contribution > 0 ? "+" : "") + short(part.contribution) }));
  });
  byId("why").replaceChildren(make("h2", { textContent: `What moved the score from ${short(why.background)} (mean) to ${short(why.score)}` }),
    table(data.classes.length ? `Contributions to the probability of ${why.explains}` : `Contributions to ${why.explains}`, rows));
}

function mark(number, problem) {
  byId("f" + number).setAttribute("aria-invalid", problem !== "");
  byId("m" + number).textContent = problem;
}

function clear() {
  asking.abort();
  asking = new AbortController();
  data.columns.forEach((column, number) => mark(number, ""));
  byId("answer").replaceChildren();
}

function complain(error) {
  const problems = error.problems && error.problems.length ? error.problems : [error.message];
  let messages = problems.map(text => text.replace(/^row 0: /, ""));
  data.columns.forEach((column, number) => {
    const start = column.name + ": ", more = advice(column, byId("f" + number).value);
    messages = messages.map(text => text.startsWith(start) ? text + more : text);
    mark(number, messages.filter(text => text.startsWith(start)).map(text => text.slice(start.length)).join("; "));
  });
  byId("answer").replaceChildren(make("div", { className: "answer wrong", role: "alert" }, make("p", { textContent: "No prediction:" }), make("ul", {}, ...messages.map(text => make("li", { textContent: text })))));
}

byId("form").addEventListener("submit", async event => {
  event.preventDefault();
  const row = {};
  data.columns.forEach((column, number) => {
    const given = value(column, byId("f" + number).value);
    if (given !== undefined) row[column.name] = given;
  });
  clear();
  const { signal } = asking;
  let predicted = null;
  try {
    predicted = await ask("predict", row, signal);
  } catch (error) {
    if (signal.aborted) return;
    complain(error instanceof TypeError ? { message: "The service cannot be reached." } : error);
  }
  if (predicted) show(predicted);
  byId("answer").focus({ preventScroll: true });
  byId("answer").scrollIntoView({ block: "nearest" });
  // Show the prediction first: its explanation may take long or fail.
  const explained = predicted && await ask("explain", row, signal).catch(() => null);
  if (explained && !signal.aborted) explain(explained);
});
byId("another").addEventListener("click", () => {
  clear();
  fill();
});
