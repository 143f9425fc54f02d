/** Kernels that compute in f32, made to take f16 and bf16: inputs are widened, outputs rounded once. */
import type { KernelCall } from '../../backend.ts';
import type { DType } from '../../dtype.ts';
import type { InputsOf, TensorLayout, TensorSpec } from '../../op.ts';
import { sizeOf } from '../../shape.ts';
import { addressOf, withTemporary, type CpuBinding, type CpuKernel } from '../context.ts';
import { convert } from './cast.ts';

function isHalf(spec: TensorSpec | undefined): boolean {
  return spec?.dtype === 'f16' || spec?.dtype === 'bf16';
}

/** The call as the f32 kernel sees it. */
function widened(call: KernelCall): KernelCall {
  const inputs = call.inputs.map((x): TensorLayout | undefined =>
    x === undefined || !isHalf(x)
      ? x
      : { dtype: 'f32', shape: x.shape, strides: x.strides, contiguous: x.contiguous },
  );
  const outputs = call.outputs.map((spec): TensorSpec =>
    isHalf(spec) ? { dtype: 'f32', shape: spec.shape } : spec,
  );
  return { inputs, outputs, attrs: call.attrs };
}

/** A tensor that passes through f32: where its copy lies among the temporary bytes. */
interface Passage {
  readonly dtype: DType;
  readonly count: number;
  readonly start: number;
}

interface HalfPlan {
  readonly inner: unknown;
  readonly inputs: InputsOf<Passage>;
  readonly outputs: InputsOf<Passage>;
  readonly bytes: number;
}

/** The kernel's own plan, or one with passages. */
type Plan = { readonly direct: unknown } | HalfPlan;

function planPassages(call: KernelCall, inner: unknown): HalfPlan {
  let bytes = 0;
  const place = (spec: TensorSpec | undefined): Passage | undefined => {
    if (spec === undefined || !isHalf(spec)) return undefined;
    const passage = { dtype: spec.dtype, count: sizeOf(spec.shape), start: bytes };
    bytes += Math.ceil((passage.count * 4) / 64) * 64;
    return passage;
  };
  return { inner, inputs: call.inputs.map(place), outputs: call.outputs.map(place), bytes };
}

/** The same kernel, also for calls with f16 and bf16 tensors if it supports them in f32. */
export function withHalf(kernel: CpuKernel): CpuKernel {
  return {
    ...kernel,
    supports(call, context) {
      const own = kernel.supports(call, context);
      return own === true || !call.inputs.some(isHalf)
        ? own
        : kernel.supports(widened(call), context);
    },
    acceptsStrides(call) {
      return kernel.acceptsStrides?.(call) === true && !call.inputs.some(isHalf);
    },
    prepare(call, context, strategy): Plan {
      if (kernel.supports(call, context) === true) {
        return { direct: kernel.prepare(call, context, strategy) };
      }
      return planPassages(call, kernel.prepare(widened(call), context, strategy));
    },
    run(given, inputs, outputs, context) {
      const plan = given as Plan;
      if ('direct' in plan) {
        kernel.run(plan.direct, inputs, outputs, context);
        return;
      }
      withTemporary(context, plan.bytes, (address) => {
        const through = (passage: Passage | undefined, binding: CpuBinding): CpuBinding =>
          passage === undefined
            ? binding
            : {
                buffer: { address: address + passage.start, bytes: passage.count * 4 },
                offset: 0,
              };
        const wideInputs = inputs.map((binding, i) => {
          if (binding === undefined) return undefined;
          const passage = plan.inputs[i];
          const wide = through(passage, binding);
          if (passage !== undefined) {
            const { dtype, count } = passage;
            convert(
              context,
              dtype,
              'f32',
              addressOf(binding, dtype),
              addressOf(wide, 'f32'),
              count,
            );
          }
          return wide;
        });
        const wideOutputs = outputs.map((binding, i) => through(plan.outputs[i], binding));
        kernel.run(plan.inner, wideInputs, wideOutputs, context);
        plan.outputs.forEach((passage, i) => {
          if (passage === undefined) return;
          const { dtype, count } = passage;
          const [from, to] = [addressOf(wideOutputs[i]!, 'f32'), addressOf(outputs[i]!, dtype)];
          convert(context, 'f32', dtype, from, to, count);
        });
      });
    },
  };
}
