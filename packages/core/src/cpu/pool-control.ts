/**
 * The words at the bottom of the CPU memory through which the threads of a pool meet.
 *
 * A job is published by writing its words, setting `STATE` to `OPEN`, and adding one to `SEQUENCE`. A thread takes part
 * by adding one to `STATE` while it is open, claims chunks of items from `NEXT`, and leaves by taking its one back.
 * The caller closes the job by clearing `OPEN`, and waits until nobody is left in it. So a thread that starts late,
 * or never, delays nobody.
 */

/** Index of each control word (i32). Words that threads contend for have cache lines of their own. */
export const CONTROL = {
  SEQUENCE: 0,
  EXIT: 1,
  STATE: 16,
  NEXT: 32,
  ITEMS: 48,
  CHUNK: 49,
  /** Module and export of the job. */
  MODULE: 50,
  EXPORT: 51,
  /** Modules loaded so far; their addresses and lengths follow. */
  MODULE_COUNT: 52,
  MODULES: 64,
  /** Bytes of the first error message of a job's threads, 0 while there is none. */
  ERROR_BYTES: 53,
} as const;

/** Set in `STATE` while threads may enter the job. */
export const OPEN: number = 1 << 30;
/** Modules that fit the table of the control words. */
export const MAX_MODULES = 32;
/** Byte address of the arguments of a job, and how many words fit. */
export const ARGS_ADDRESS = 1024;
export const MAX_ARGS = 192;
/** Byte address and capacity of the error message. */
export const ERROR_ADDRESS = 2048;
export const MAX_ERROR_BYTES = 2048;
/** Scratch memory of each thread. */
export const SCRATCH_BYTES: number = 512 * 1024;

/**
 * Program of a pool thread, as text: workers of Node.js and of browsers are both made from it, and neither a bundler
 * nor a test runner has to find a file.
 *
 * It first spins, then sleeps: a job that follows the last one closely finds the thread awake.
 */
export const WORKER_SOURCE: string = `
const { SEQUENCE, EXIT, STATE, NEXT, ITEMS, CHUNK, MODULE, EXPORT, MODULE_COUNT, MODULES, ERROR_BYTES } =
  ${JSON.stringify(CONTROL)};
const SPINS = 400;
function serve({ memory, scratch }) {
  const control = new Int32Array(memory.buffer, 0, 1024);
  const modules = [];
  function loadModules() {
    while (modules.length < Atomics.load(control, MODULE_COUNT)) {
      const at = MODULES + 2 * modules.length;
      // Growing by nothing refreshes a buffer that another thread has outgrown.
      memory.grow(0);
      const bytes = new Uint8Array(memory.buffer, control[at] >>> 0, control[at + 1]).slice();
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
      modules.push(Object.values(instance.exports).filter((item) => typeof item === 'function'));
    }
  }
  function enter() {
    for (;;) {
      const state = Atomics.load(control, STATE);
      if ((state & ${OPEN}) === 0) return false;
      if (Atomics.compareExchange(control, STATE, state, state + 1) === state) return true;
    }
  }
  function work() {
    loadModules();
    const job = modules[control[MODULE]][control[EXPORT]];
    const items = control[ITEMS];
    const chunk = control[CHUNK];
    for (;;) {
      const begin = Atomics.add(control, NEXT, chunk);
      if (begin >= items) return;
      job(${ARGS_ADDRESS}, begin, Math.min(items, begin + chunk), scratch);
    }
  }
  function report(error) {
    const text = new TextEncoder().encode(String(error && error.stack || error)).slice(0, ${MAX_ERROR_BYTES});
    if (Atomics.compareExchange(control, ERROR_BYTES, 0, text.length || 1) !== 0) return;
    new Uint8Array(memory.buffer, ${ERROR_ADDRESS}, text.length).set(text);
  }
  let seen = -1;
  for (;;) {
    let sequence = Atomics.load(control, SEQUENCE);
    for (let i = 0; i < SPINS && sequence === seen; i++) sequence = Atomics.load(control, SEQUENCE);
    while (sequence === seen) {
      Atomics.wait(control, SEQUENCE, seen);
      sequence = Atomics.load(control, SEQUENCE);
    }
    seen = sequence;
    if (Atomics.load(control, EXIT) === 1) return;
    try {
      // Compiling before entering: the caller does not wait for a thread that still compiles.
      loadModules();
    } catch {
      // The same fault shows again inside the job, where it can be reported.
    }
    if (!enter()) continue;
    try {
      work();
    } catch (error) {
      Atomics.store(control, NEXT, control[ITEMS]);
      report(error);
    }
    if (Atomics.sub(control, STATE, 1) === 1) Atomics.notify(control, STATE);
  }
}
if (typeof process === 'object' && typeof process.getBuiltinModule === 'function') {
  serve(process.getBuiltinModule('node:worker_threads').workerData);
} else {
  self.onmessage = ({ data }) => { serve(data); self.close(); };
}
`;
