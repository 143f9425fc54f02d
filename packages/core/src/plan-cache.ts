/** Compiled plans of kernels, by op, layouts, attributes and strategy. */
import type { Kernel, KernelCall } from './backend.ts';
import type { TensorLayout } from './op.ts';

interface Prepared {
  readonly kernel: Kernel;
  readonly plan: unknown;
}

// Plans are small; this bound only stops a program with ever-changing shapes from growing without end.
const MAX_CACHED_PLANS = 4096;

function layoutKey(layout: TensorLayout | undefined): string {
  if (layout === undefined) return '-';
  const base = `${layout.dtype}${layout.shape.join('x')}`;
  return layout.contiguous ? base : `${base}:${layout.strides.join('x')}`;
}

/** JSON has no infinities, NaN or -0: as text they get keys of their own. */
function keyValue(_name: string, value: unknown): unknown {
  if (typeof value !== 'number') return value;
  return Number.isFinite(value) && !Object.is(value, -0) ? value : `number ${value}`;
}

function planKey(op: string, call: KernelCall, strategy: string | undefined): string {
  return `${op}|${call.inputs.map(layoutKey).join('|')}|${JSON.stringify(call.attrs, keyValue)}|${strategy ?? ''}`;
}

/** Plans of one device, made when they are first needed. */
export class PlanCache {
  readonly #plans: Map<string, Prepared> = new Map();

  /** The plan of a call: the kept one, or a fresh one from the kernel. */
  prepare(
    op: string,
    kernel: Kernel,
    call: KernelCall,
    context: unknown,
    strategy: string | undefined,
  ): unknown {
    const key = planKey(op, call, strategy);
    const cached = this.#plans.get(key);
    if (cached?.kernel === kernel) return cached.plan;
    const plan = kernel.prepare(call, context, strategy);
    if (this.#plans.size >= MAX_CACHED_PLANS) this.#plans.clear();
    this.#plans.set(key, { kernel, plan });
    return plan;
  }

  clear(): void {
    this.#plans.clear();
  }
}
