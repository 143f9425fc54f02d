/** Files by their location in browsers, where every location is a URL, relative to the page or worker if need be. */
import type { ClosableSource } from './weight-store.ts';
import { isUrlFile, readUrl, urlSource } from './url-source.ts';

/** As in Node: a file for range reads. @throws CheckpointError when it does not exist or cannot be fetched. */
export async function fileSource(location: string): Promise<ClosableSource> {
  return urlSource(resolveLocation(location));
}

/** The text of a file. @throws CheckpointError when it does not exist or cannot be fetched. */
export async function readText(location: string): Promise<string> {
  return new TextDecoder().decode(await readUrl(resolveLocation(location)));
}

/** The whole URL. */
export function resolveLocation(location: string): string {
  return new URL(location, globalThis.location.href).href;
}

/** The location of a file of this package, given its URL. */
export function locationOf(url: URL): string {
  return url.href;
}

/** True when the server has such a file. @throws CheckpointError when it fails or cannot be reached. */
export async function isFile(location: string): Promise<boolean> {
  return isUrlFile(resolveLocation(location));
}
