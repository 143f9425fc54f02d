/** Recorded commands: what a recorded step replays without planning, checking or binding anything again. */
import { InputError, type Recording as DeviceRecording } from '@pergola/core';
import type { DispatchCommand } from './commands.ts';
import type { WebGpuContext } from './context.ts';
import { SLOT_BYTES, SLOT_WORDS, uniformGroup } from './params.ts';
import { Recording } from './recording.ts';
import { BUFFER_USAGE } from './usage.ts';

/** Recorded commands with their parameters in memory of their own. */
class RecordedCommands implements DeviceRecording {
  readonly #context: WebGpuContext;
  readonly #recording: Recording;
  readonly #params: GPUBuffer;
  readonly #group: GPUBindGroup;

  constructor(context: WebGpuContext, recording: Recording) {
    this.#context = context;
    this.#recording = recording;
    const dispatches = recording.commands.filter(
      (command): command is DispatchCommand => command.kind === 'dispatch',
    );
    const words = new Uint32Array(Math.max(1, dispatches.length) * SLOT_WORDS);
    dispatches.forEach((command, i) => words.set(command.words, i * SLOT_WORDS));
    this.#params = context.gpu.createBuffer({
      label: 'recorded params',
      size: words.byteLength,
      usage: BUFFER_USAGE.uniform | BUFFER_USAGE.copyTarget,
    });
    context.gpu.queue.writeBuffer(this.#params, 0, words);
    this.#group = uniformGroup(context.gpu, context.uniformLayout, this.#params);
  }

  get commands(): number {
    return this.#recording.commands.length;
  }

  replay(): void {
    const { commands, recording } = this.#context;
    if (recording !== undefined) {
      throw new InputError('replay: a step must not be replayed while another is recorded.');
    }
    let slot = 0;
    for (const command of this.#recording.commands) {
      if (command.kind === 'dispatch') {
        commands.dispatch(command, { group: this.#group, offset: slot * SLOT_BYTES });
        slot++;
      } else if (command.kind === 'copy') commands.copy(command);
      else commands.clear(command);
    }
  }

  dispose(): void {
    release(this.#context, this.#recording);
    this.#params.destroy();
  }
}

/** Gives up the memory of a recording. */
function release(context: WebGpuContext, recording: Recording): void {
  // Destroyed buffers must not be part of unsubmitted work.
  context.commands.flush();
  for (const buffer of recording.constants) buffer.destroy();
  for (const buffer of recording.pinned) context.unpin(buffer);
  recording.pinned.clear();
}

/**
 * Runs `body` and records its commands: the `record` of the backend.
 *
 * @throws InputError when a step is being recorded already, and what `body` throws; nothing is recorded then.
 */
export function recordCommands(context: WebGpuContext, body: () => void): DeviceRecording {
  if (context.recording !== undefined) {
    throw new InputError('recordStep: steps must not be recorded inside one another.');
  }
  const recording = new Recording();
  context.record(recording);
  try {
    body();
  } catch (error) {
    context.record(undefined);
    recording.close();
    release(context, recording);
    throw error;
  }
  context.record(undefined);
  recording.close();
  return new RecordedCommands(context, recording);
}
