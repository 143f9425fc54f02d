/** Kernel parameters: one uniform slot per dispatch, bound at a dynamic offset, written once per submission. */
import { BUFFER_USAGE, COMPUTE_STAGE } from './usage.ts';

/** Bytes of one slot: the strictest alignment of dynamic uniform offsets, and room for 64 parameters. */
export const SLOT_BYTES = 256;
export const SLOT_WORDS: number = SLOT_BYTES / 4;

// Slots in one uniform buffer; a batch that fills them is submitted.
const SLOTS = 1024;
// Two buffers in turn: writing one does not wait for the work that still reads the other.
const BUFFERS = 2;

/** The layout of bind group 1, the same for every program. */
export function uniformLayout(device: GPUDevice): GPUBindGroupLayout {
  return device.createBindGroupLayout({
    label: 'params',
    entries: [
      {
        binding: 0,
        visibility: COMPUTE_STAGE,
        buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: SLOT_BYTES },
      },
    ],
  });
}

/** A bind group over a whole uniform buffer, one slot at a time. */
export function uniformGroup(
  device: GPUDevice,
  layout: GPUBindGroupLayout,
  buffer: GPUBuffer,
): GPUBindGroup {
  return device.createBindGroup({
    layout,
    entries: [{ binding: 0, resource: { buffer, offset: 0, size: SLOT_BYTES } }],
  });
}

interface RingBuffer {
  readonly buffer: GPUBuffer;
  readonly group: GPUBindGroup;
}

/** Where a dispatch finds its parameters. */
export interface ParamSlot {
  readonly group: GPUBindGroup;
  /** Byte offset of the slot. */
  readonly offset: number;
}

/** Slots of the current batch. */
export class ParamRing {
  readonly #device: GPUDevice;
  readonly #ring: readonly RingBuffer[];
  readonly #host: Uint32Array<ArrayBuffer> = new Uint32Array(SLOTS * SLOT_WORDS);
  #turn = 0;
  #used = 0;

  constructor(device: GPUDevice, layout: GPUBindGroupLayout) {
    this.#device = device;
    this.#ring = Array.from({ length: BUFFERS }, () => {
      const buffer = device.createBuffer({
        label: 'params',
        size: SLOTS * SLOT_BYTES,
        usage: BUFFER_USAGE.uniform | BUFFER_USAGE.copyTarget,
      });
      return { buffer, group: uniformGroup(device, layout, buffer) };
    });
  }

  /** No slot is left: the batch must be submitted first. */
  get full(): boolean {
    return this.#used === SLOTS;
  }

  push(words: Uint32Array): ParamSlot {
    const slot = this.#used++;
    this.#host.set(words, slot * SLOT_WORDS);
    return { group: this.#ring[this.#turn]!.group, offset: slot * SLOT_BYTES };
  }

  /** Writes the batch's slots ahead of its submission and turns to the next buffer. */
  flush(): void {
    if (this.#used === 0) return;
    const { buffer } = this.#ring[this.#turn]!;
    this.#device.queue.writeBuffer(buffer, 0, this.#host, 0, this.#used * SLOT_WORDS);
    this.#used = 0;
    this.#turn = (this.#turn + 1) % BUFFERS;
  }

  dispose(): void {
    for (const { buffer } of this.#ring) buffer.destroy();
  }
}
