// Reads a JSON list of charts; writes a JSON list of what the parser of Mermaid says against each, or null.
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";

// Mermaid looks for a page when it is loaded.
globalThis.window = new JSDOM("").window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");

const faults = [];
for (const chart of JSON.parse(readFileSync(0, "utf8"))) {
  faults.push(await mermaid.parse(chart).then(() => null, (error) => String(error)));
}
console.log(JSON.stringify(faults));
