/**
 * Where files lie: a path on disk or a URL, as text with `/` between its parts. A URL here has no query: the names of
 * further files are appended to it.
 */

/** True for `https://…` and the like. */
export function isUrl(location: string): boolean {
  return /^[a-z][a-z\d+.-]*:\/\//i.test(location);
}

/** True for what does not depend on a current folder: URLs, `/…` and `C:\…`. */
export function isAbsoluteLocation(location: string): boolean {
  return isUrl(location) || /^([a-z]:)?[\\/]/i.test(location);
}

/** Something below a folder. */
export function joinLocation(folder: string, ...parts: readonly string[]): string {
  return [folder.replace(/\/+$/, ''), ...parts].join('/');
}

/** The folder around a location; `.` for a bare name. */
export function folderOf(location: string): string {
  const end = location.replace(/\/+$/, '').lastIndexOf('/');
  if (end < 0) return '.';
  return location.slice(0, end) || '/';
}

/** The last part of a location. */
export function nameOf(location: string): string {
  const trimmed = location.replace(/\/+$/, '');
  return trimmed.slice(trimmed.lastIndexOf('/') + 1);
}
