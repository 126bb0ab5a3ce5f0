// GitHub's own parser, language service and evaluator of expressions, for programs: a question and an answer a line, in JSON.
import { register } from "node:module";
import { createInterface } from "node:readline";

register("./json.js", import.meta.url);
const { validate } = await import("@actions/languageservice");
const { parseWorkflow, NoOperationTraceWriter } = await import("@actions/workflow-parser");
const { data, DescriptionDictionary, Evaluator, Lexer, Parser } = await import("@actions/expressions");
const { falsy } = await import("@actions/expressions/result");
const { TextDocument } = await import("vscode-languageserver-textdocument");

const STATUS = ["success", "failure", "always", "cancelled"];
const OWN = [...STATUS, "hashFiles"].map((name) => ({ name, minArgs: 0, maxArgs: name === "hashFiles" ? 255 : 0 }));

const questions = {
  // What the language service says against a file: [line, message]. `actions` holds the inputs of the actions, by pin;
  // `names` the names of the secrets and variables that there may be.
  async validate({ name, text, actions, names }) {
    const known = {
      fetchActionMetadata: async (wanted) => {
        const inputs = actions[`${wanted.owner}/${wanted.name}${wanted.path ? `/${wanted.path}` : ""}`];
        return inputs && { name: wanted.name, description: "", inputs };
      },
    };
    const getContext = async (context, given) => {
      if (context !== "secrets" && context !== "vars") return given;
      const made = given ?? new DescriptionDictionary();
      for (const one of names[context]) made.add(one, new data.StringData("x"));
      made.complete = true;
      return made;
    };
    const document = TextDocument.create(`file:///${name}`, "yaml", 1, text);
    const found = await validate(document, { actionsMetadataProvider: known, contextProviderConfig: { getContext } });
    return found.map((one) => [one.range.start.line + 1, one.message]);
  },
  // What the parser says against a workflow.
  parse({ name, text }) {
    const result = parseWorkflow({ name, content: text }, new NoOperationTraceWriter());
    return result.context.errors.getErrors().map((error) => error.message);
  },
  // The value of an expression, as plain data and as text. `state` is what the steps or jobs before came to.
  evaluate({ expression, context, state, hashes }) {
    const values = JSON.parse(JSON.stringify(context), data.reviver);
    const answers = {
      success: state === "success",
      failure: state === "failure",
      cancelled: state === "cancelled",
      always: true,
    };
    const functions = STATUS.map((name) => [name, () => new data.BooleanData(answers[name])]);
    functions.push(["hashfiles", (...patterns) => new data.StringData(hashes[patterns.map((p) => p.coerceString()).join("\n")])]);
    const tree = new Parser(new Lexer(expression).lex().tokens, Object.keys(context), OWN).parse();
    const result = new Evaluator(tree, values, new Map(functions.map(([name, call]) => [name, { name, call }]))).evaluate();
    return { value: JSON.parse(JSON.stringify(result, data.replacer)), text: result.coerceString(), falsy: falsy(result) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { question, ...rest } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ answer: await questions[question](rest) }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
