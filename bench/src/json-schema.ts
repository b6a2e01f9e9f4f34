/**
 * Checks a value against the part of JSON Schema (2020-12) that `result.schema.json` uses: type, const, enum, required,
 * properties, additionalProperties: false, items, minItems, minimum, oneOf and local $ref. Any other keyword that
 * constrains is refused, so the schema cannot promise what is not checked.
 */
export type JsonSchema = Readonly<Record<string, unknown>>;

const ANNOTATIONS = new Set(['$schema', '$id', '$defs', 'title', 'description']);

/** What is wrong, as `path: problem` lines; empty when the value follows the schema. */
export function schemaProblems(value: unknown, schema: JsonSchema): string[] {
  return problemsAt(value, schema, schema, '$');
}

function problemsAt(value: unknown, schema: JsonSchema, root: JsonSchema, at: string): string[] {
  return Object.entries(schema).flatMap(([keyword, rule]) => {
    if (ANNOTATIONS.has(keyword)) return [];
    const check = CHECKS[keyword];
    if (check === undefined) throw new RangeError(`schema keyword '${keyword}' is not supported`);
    return check({ value, rule, schema, root, at });
  });
}

interface Check {
  readonly value: unknown;
  readonly rule: unknown;
  readonly schema: JsonSchema;
  readonly root: JsonSchema;
  readonly at: string;
}

const CHECKS: Readonly<Record<string, (check: Check) => string[]>> = {
  $ref: ({ value, rule, root, at }) => {
    const name = String(rule).replace('#/$defs/', '');
    const target = (root.$defs as Record<string, JsonSchema>)[name];
    if (target === undefined) throw new RangeError(`schema has no definition '${name}'`);
    return problemsAt(value, target, root, at);
  },
  type: ({ value, rule, at }) => (typeMatches(value, String(rule)) ? [] : [`${at}: is not ${String(rule)}`]),
  const: ({ value, rule, at }) => (value === rule ? [] : [`${at}: is not ${JSON.stringify(rule)}`]),
  enum: ({ value, rule, at }) =>
    (rule as unknown[]).includes(value) ? [] : [`${at}: is not one of ${JSON.stringify(rule)}`],
  minimum: ({ value, rule, at }) =>
    typeof value === 'number' && value < (rule as number) ? [`${at}: is below ${String(rule)}`] : [],
  minItems: ({ value, rule, at }) =>
    Array.isArray(value) && value.length < (rule as number) ? [`${at}: has too few items`] : [],
  required: ({ value, rule, at }) =>
    isRecord(value)
      ? (rule as string[]).filter((name) => !(name in value)).map((name) => `${at}.${name}: is missing`)
      : [],
  properties: ({ value, rule, root, at }) =>
    isRecord(value)
      ? Object.entries(rule as Record<string, JsonSchema>).flatMap(([name, schema]) =>
          name in value ? problemsAt(value[name], schema, root, `${at}.${name}`) : [],
        )
      : [],
  additionalProperties: ({ value, rule, schema, at }) => {
    if (rule !== false) throw new RangeError('additionalProperties may only be false');
    const known = Object.keys(schema.properties ?? {});
    if (!isRecord(value)) return [];
    return Object.keys(value)
      .filter((name) => !known.includes(name))
      .map((name) => `${at}.${name}: is not in the schema`);
  },
  items: ({ value, rule, root, at }) =>
    Array.isArray(value)
      ? value.flatMap((item, index) => problemsAt(item, rule as JsonSchema, root, `${at}[${index}]`))
      : [],
  oneOf: ({ value, rule, root, at }) => {
    const tried = (rule as JsonSchema[]).map((schema) => problemsAt(value, schema, root, at));
    const matching = tried.filter((problems) => problems.length === 0).length;
    if (matching === 1) return [];
    const nearest = [...tried].sort((a, b) => a.length - b.length)[0] ?? [];
    return [`${at}: matches ${matching} of the alternatives`, ...nearest];
  },
};

function typeMatches(value: unknown, type: string): boolean {
  switch (type) {
    case 'object':
      return isRecord(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'string':
    case 'boolean':
      return typeof value === type;
    default:
      throw new RangeError(`schema type '${type}' is not supported`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
