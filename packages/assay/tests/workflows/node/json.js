// Lets plain Node import the JSON files of GitHub's packages, which name no type.
export const load = (url, context, next) =>
  next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);
