/** What a recorded step holds: its commands in order, and the memory that they use. */
import { sizeClass, type GpuBuffer } from './buffers.ts';
import type { Command, CommandObserver } from './commands.ts';

/**
 * The commands of a step and the memory they use.
 *
 * Memory that is allocated and freed within the step is reused within the step, in the same order by each replay;
 * it returns to the pool when the step is disposed. All other memory the step touches is pinned until then.
 */
export class Recording implements CommandObserver {
  readonly commands: Command[] = [];
  /** Buffers that must keep their place until the step is disposed. */
  readonly pinned: Set<GpuBuffer> = new Set();
  /** Uploads made during the step, replayed as constants. */
  readonly constants: GPUBuffer[] = [];
  readonly #owned: Set<GpuBuffer> = new Set();
  readonly #spare: Map<number, GpuBuffer[]> = new Map();

  record(command: Command): void {
    this.commands.push(command);
    if (command.kind === 'dispatch') for (const buffer of command.buffers) this.#pin(buffer);
    else {
      this.#pin(command.target);
      if (command.kind === 'copy' && command.sourceBuffer !== undefined) {
        this.#pin(command.sourceBuffer);
      }
    }
  }

  /** A buffer freed earlier in the step. */
  reuse(bytes: number): GpuBuffer | undefined {
    return this.#spare.get(sizeClass(bytes))?.pop();
  }

  /** Marks a fresh buffer as the step's own. */
  own(buffer: GpuBuffer): GpuBuffer {
    this.#owned.add(buffer);
    this.#pin(buffer);
    return buffer;
  }

  /** Takes back a buffer of the step; false when it is not its own. */
  keep(buffer: GpuBuffer): boolean {
    if (!this.#owned.has(buffer)) return false;
    const list = this.#spare.get(buffer.bytes);
    if (list === undefined) this.#spare.set(buffer.bytes, [buffer]);
    else list.push(buffer);
    return true;
  }

  /** Ends the recording: what is spare now goes to the pool with the last pin. */
  close(): void {
    for (const list of this.#spare.values()) for (const buffer of list) buffer.freed = true;
    this.#spare.clear();
  }

  #pin(buffer: GpuBuffer): void {
    if (this.pinned.has(buffer)) return;
    this.pinned.add(buffer);
    buffer.pins++;
  }
}
