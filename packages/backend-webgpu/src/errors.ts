/** Errors of this backend beyond those of core. */
import { PergolaError } from '@pergola/core';

/** A WGSL program did not compile, or the device rejected work. The message holds positions and the whole source. */
export class GpuProgramError extends PergolaError {}

/** A program's source with line numbers, as error messages show it. */
export function numberLines(source: string): string {
  const lines = source.split('\n');
  const width = String(lines.length).length;
  return lines.map((line, i) => `${String(i + 1).padStart(width)} | ${line}`).join('\n');
}

/** What a person needs to mend a program: each complaint with line:column, then the whole source. */
export function describeCompilation(
  label: string,
  summary: string,
  messages: readonly GPUCompilationMessage[],
  source: string,
): string {
  const complaints = messages
    .filter((message) => message.type === 'error')
    .map((message) => `${message.lineNum}:${message.linePos} ${message.message}`);
  const details = complaints.length > 0 ? complaints.join('\n') : summary;
  return `webgpu: program ${label} did not compile.\n${details}\n${numberLines(source)}`;
}
