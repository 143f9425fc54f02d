/** Pergola core: tensors, devices, the op catalogue and the CPU backend. */
export * from './backend.ts';
export * from './device.ts';
export * from './dtype.ts';
export * from './errors.ts';
export * from './op.ts';
export * from './scope.ts';
export * from './shape.ts';
export * from './tensor.ts';
export * from './ops/copy.ts';
export * from './ops/norm.ts';
export * from './cpu/backend.ts';
export type { CpuBinding, CpuContext, CpuKernel } from './cpu/context.ts';
export { addressOf, onlyF32, viewBinding, withTemporary, wordsAt } from './cpu/context.ts';
export { multiply as cpuMultiply, type MatrixAddresses, type MatrixProduct } from './cpu/gemm.ts';
export * from './cpu/memory.ts';
export { CpuPool, floatWord } from './cpu/pool.ts';
export type { WasmModule } from './cpu/wasm-module.ts';
export * from './safetensors.ts';
export type { SafetensorsDType, SafetensorsInfo } from './safetensors-header.ts';
export * from './safetensors-write.ts';
export { activationFunction, checkActivation, type Activation } from './ops/activation.ts';
export * from './ops/attention.ts';
export * from './ops/arithmetic.ts';
export type { BinaryAttrs } from './ops/binary-op.ts';
export * from './ops/comparison.ts';
export * from './ops/cast.ts';
export * from './ops/concat.ts';
export * from './ops/conv.ts';
export {
  ARANGE_DEFAULTS,
  arange,
  full,
  fullOp,
  ones,
  zeros,
  type ArangeOptions,
  type FullAttrs,
} from './ops/create.ts';
export * from './ops/elementwise.ts';
export * from './ops/gather.ts';
export * from './ops/matmul.ts';
export * from './ops/norm-fused.ts';
export type { PerAxis, SpatialLayout } from './ops/per-axis.ts';
export * from './ops/unary.ts';
export * from './catalogue.ts';
export * from './ops/cost.ts';
export * from './ops/arg-reduce.ts';
export * from './ops/argwhere.ts';
export * from './ops/bicubic-taps.ts';
export * from './ops/cumsum.ts';
export * from './ops/pad.ts';
export * from './ops/pool.ts';
export * from './ops/reduce.ts';
export * from './ops/resample.ts';
export * from './ops/softmax.ts';
export * from './ops/sort.ts';
export * from './random.ts';
export { assign, assignData, canRecord, recordStep, type RecordedStep } from './record.ts';
export * from './ops/packed-rows.ts';
export * from './null/backend.ts';
export type { Plan, PlannedOp } from './null/plan.ts';
