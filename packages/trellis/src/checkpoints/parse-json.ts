/** JSON files checked against a schema, with messages that say where the file is wrong. */
import { readText } from '#file-source';
import { CheckpointError } from '@pergola/core';
import { z } from 'zod';

/** One line per issue: `args.num_heads: must be …`. */
function describeIssues(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => `${path.length > 0 ? path.join('.') : 'the file'}: ${message}`)
    .join('; ');
}

/**
 * Checks a parsed value.
 *
 * @param location file name for messages.
 * @throws CheckpointError naming each field that does not fit.
 */
export function checkValue<T>(value: unknown, schema: z.ZodType<T>, location: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CheckpointError(`${location}: ${describeIssues(result.error)}.`);
}

/**
 * Reads and parses a JSON file.
 *
 * @throws CheckpointError when the file is missing, is no JSON or does not fit the schema.
 */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const text = await readText(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${path}: the file is not valid JSON.`, { cause });
  }
  return checkValue(value, schema, path);
}
