/** A CPU device that records steps: what tests of recorded work need no GPU for. */
import {
  createCpuDevice,
  Device,
  type Backend,
  type Binding,
  type DeviceBuffer,
  type InputsOf,
  type Kernel,
  type KernelCall,
  type Op,
  type Recording,
} from '../packages/core/src/index.ts';

/** The CPU backend with a log of everything it was told to do while recording. */
class RecordingBackend implements Backend {
  readonly name = 'recording';
  readonly #inner: Backend;
  #log: (() => void)[] | undefined;
  #held: DeviceBuffer[] = [];

  constructor(inner: Backend) {
    this.#inner = inner;
  }

  get info() {
    return this.#inner.info;
  }

  get context(): unknown {
    return this.#inner.context;
  }

  #perform(work: () => void): void {
    work();
    this.#log?.push(work);
  }

  kernel(op: Op): Kernel | undefined {
    const kernel = this.#inner.kernel(op);
    if (kernel === undefined) return undefined;
    return Object.assign(Object.create(kernel) as Kernel, {
      run: (...args: Parameters<Kernel['run']>) => this.#perform(() => kernel.run(...args)),
    });
  }

  reference(
    op: Op,
    call: KernelCall,
    inputs: InputsOf<Binding>,
    outputs: readonly Binding[],
  ): void {
    this.#perform(() => this.#inner.reference!(op, call, inputs, outputs));
  }

  allocate(bytes: number): DeviceBuffer {
    return this.#inner.allocate(bytes);
  }

  free(buffer: DeviceBuffer): void {
    if (this.#log === undefined) this.#inner.free(buffer);
    else this.#held.push(buffer);
  }

  upload(buffer: DeviceBuffer, byteOffset: number, source: Uint8Array): void {
    const bytes = source.slice();
    this.#perform(() => this.#inner.upload(buffer, byteOffset, bytes));
  }

  download(buffer: DeviceBuffer, byteOffset: number, byteLength: number) {
    return this.#inner.download(buffer, byteOffset, byteLength);
  }

  sync(): Promise<void> {
    return this.#inner.sync();
  }

  memory() {
    return this.#inner.memory();
  }

  record(body: () => void): Recording {
    const log: (() => void)[] = [];
    this.#log = log;
    let held: DeviceBuffer[];
    try {
      body();
    } finally {
      this.#log = undefined;
      [held, this.#held] = [this.#held, []];
    }
    return {
      commands: log.length,
      replay: () => log.forEach((work) => work()),
      dispose: () => held.forEach((buffer) => this.#inner.free(buffer)),
    };
  }

  dispose(): void {
    this.#inner.dispose();
  }
}

/** Opens the device. */
export async function createRecordingDevice(): Promise<Device> {
  return new Device(new RecordingBackend((await createCpuDevice()).backend));
}
