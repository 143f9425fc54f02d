/** What the command talks to; tests hand in their own. */

/** A stream of text with what is known of the screen behind it. */
export interface TextOutput {
  write(text: string): void;
  /** Width in columns when a person watches; absent for files and pipes. */
  readonly columns?: number | undefined;
}

/** Surroundings of one command. */
export interface Terminal {
  /** Results. */
  readonly out: TextOutput;
  /** Progress and errors. */
  readonly err: TextOutput;
  /** Aborted when the user stops the command. */
  readonly signal: AbortSignal;
  /** Show stack traces of errors. */
  readonly debug: boolean;
}

/** `1.2 kB`-style size. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = -1;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** `840 ms`, `12.3 s` or `2 min 5 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

/** Lines of aligned columns; the last column is not padded. */
export function formatTable(rows: readonly (readonly string[])[], indent = '  '): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!)));
      return `${indent}${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}
