/** Plans of the conformance cases, made without a device. */
import {
  contiguousStrides,
  UnsupportedOpError,
  type DType,
  type KernelCall,
  type TensorSpec,
} from '@pergola/core';
import {
  caseDTypes,
  coreCases,
  prepareCase,
  type ConformanceCase,
} from '@pergola/core/conformance';
import { sparseCases } from '@pergola/sparse/conformance';
import type { CudaKernel } from '../src/kernel.ts';
import { KERNEL_TABLE } from '../src/kernels/table.ts';
import { stubContext } from './stub-context.ts';

const DTYPES: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'u8', 'bool'];

/** Every case of both suites. */
export function allCases(): ConformanceCase[] {
  return [...coreCases(), ...sparseCases()];
}

/** The calls of a case, inputs contiguous; none for outputs without elements, which never reach a kernel. */
export function callsOf(testCase: ConformanceCase): KernelCall[] {
  return caseDTypes(testCase, DTYPES).flatMap((dtype) => {
    const { inputs, outputs } = prepareCase(testCase, dtype);
    if (outputs.every(({ shape }) => shape.includes(0))) return [];
    const layout = ({ dtype, shape }: TensorSpec) => ({
      dtype,
      shape,
      strides: contiguousStrides(shape),
      contiguous: true,
    });
    return [
      { inputs: inputs.map((input) => input && layout(input)), outputs, attrs: testCase.attrs },
    ];
  });
}

/** What keeps a kernel from a case, or undefined when it plans it. @throws what `prepare` throws. */
export function planCase(
  kernel: CudaKernel<object, unknown>,
  call: KernelCall,
  stub: ReturnType<typeof stubContext>,
  strategy?: string,
): string | undefined {
  const supported = kernel.supports(call, stub.context);
  if (supported !== true) return supported;
  try {
    kernel.prepare(call, stub.context, strategy);
    return undefined;
  } catch (error) {
    if (strategy !== undefined && error instanceof UnsupportedOpError) return error.message;
    throw error;
  }
}

/** Names of all launchers that the cases ask for, with and without Hopper's tensor cores. */
export function plannedLaunchers(): string[] {
  const stubs = [stubContext(80), stubContext(90)];
  for (const testCase of allCases()) {
    const kernel = KERNEL_TABLE.get(testCase.op.name);
    if (kernel === undefined) continue;
    for (const call of callsOf(testCase)) {
      for (const stub of stubs) {
        for (const strategy of [undefined, ...(kernel.strategies ?? [])]) {
          planCase(kernel, call, stub, strategy);
        }
      }
    }
  }
  return [...new Set(stubs.flatMap(({ launchers }) => launchers))];
}
