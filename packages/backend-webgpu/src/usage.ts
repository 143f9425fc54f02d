/** WebGPU's bit flags by value: Node has no global `GPUBufferUsage`, and we assign no globals. */

export const BUFFER_USAGE = {
  mapRead: 0x1,
  mapWrite: 0x2,
  copySource: 0x4,
  copyTarget: 0x8,
  uniform: 0x40,
  storage: 0x80,
  queryResolve: 0x200,
} as const;

export const MAP_MODE = { read: 0x1, write: 0x2 } as const;

export const COMPUTE_STAGE = 0x4;
