// wgmma.mma_async, m64nNk16, f32 accumulators, with A in registers or in shared memory.
// The instruction names every accumulator register, so each width is its own statement, made by the macros below.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace pergola::wgmma {

__device__ __forceinline__ void fence() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ __forceinline__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
template <int N>
__device__ __forceinline__ void wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(N) : "memory");
}

// Keeps the compiler from moving reads of accumulators before the wait that completes them. No instruction.
template <int N>
__device__ __forceinline__ void settle(float (&d)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

// Shared-memory matrix descriptor of a swizzled tile. Widths of 64, 32 and 16 halves use the 128, 64 and 32 byte
// swizzle; eight rows repeat every `width * 16` bytes in both operand orders.
template <int Width>
__device__ __forceinline__ uint64_t descriptor(uint32_t address) {
  constexpr uint64_t swizzle = Width == 64 ? 1 : Width == 32 ? 2 : 3;
  constexpr uint64_t stride = (Width * 16) >> 4;
  return (static_cast<uint64_t>(address & 0x3FFFF) >> 4) | (uint64_t{1} << 16) | (stride << 32) | (swizzle << 62);
}

// Names of the first 8, 16, ... 128 operands.
#define PERGOLA_NAMES_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define PERGOLA_NAMES_16 PERGOLA_NAMES_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define PERGOLA_NAMES_32 PERGOLA_NAMES_16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define PERGOLA_NAMES_48 PERGOLA_NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define PERGOLA_NAMES_64 PERGOLA_NAMES_48 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define PERGOLA_NAMES_96 PERGOLA_NAMES_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define PERGOLA_NAMES_128 PERGOLA_NAMES_96 ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// Accumulators from d[i] on as operands.
#define PERGOLA_SUMS_8(i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define PERGOLA_SUMS_16(i) PERGOLA_SUMS_8(i), PERGOLA_SUMS_8(i + 8)
#define PERGOLA_SUMS_32(i) PERGOLA_SUMS_16(i), PERGOLA_SUMS_16(i + 16)
#define PERGOLA_SUMS_48(i) PERGOLA_SUMS_32(i), PERGOLA_SUMS_16(i + 32)
#define PERGOLA_SUMS_64(i) PERGOLA_SUMS_32(i), PERGOLA_SUMS_32(i + 32)
#define PERGOLA_SUMS_96(i) PERGOLA_SUMS_64(i), PERGOLA_SUMS_32(i + 64)
#define PERGOLA_SUMS_128(i) PERGOLA_SUMS_64(i), PERGOLA_SUMS_64(i + 64)


// The operands behind `Sums` accumulators, named by the caller: matrices a and b, then whether to accumulate.
#define PERGOLA_WGMMA(Type, N, Sums, a, b, accumulate, flags)                                  \
  "{\n.reg .pred p;\nsetp.ne.b32 p, " accumulate ", 0;\n"                                      \
  "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." Type "." Type " {" PERGOLA_NAMES_##Sums "}, " \
  a ", " b ", p, 1, 1, " flags ";\n}\n"

// A in registers. B has its summed axis contiguous, or the other one where it is transposed.
template <typename T, int N, int TransposeB>
struct Multiply;

#define PERGOLA_MULTIPLY(T, Type, N, Sums, TransposeB, names, b_name, accumulate_name)                           \
  template <>                                                                                                    \
  struct Multiply<T, N, TransposeB> {                                                                            \
    static __device__ __forceinline__ void run(float (&d)[Sums], const uint32_t (&a)[4], uint64_t b, int accumulate) { \
      asm volatile(PERGOLA_WGMMA(Type, N, Sums, "{" names "}", b_name, accumulate_name, #TransposeB)             \
                   : PERGOLA_SUMS_##Sums(0)                                                                      \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));                       \
    }                                                                                                            \
  };
#define PERGOLA_MULTIPLY_ALL(T, Type)                                                 \
  PERGOLA_MULTIPLY(T, Type, 16, 8, 0, "%8, %9, %10, %11", "%12", "%13")               \
  PERGOLA_MULTIPLY(T, Type, 16, 8, 1, "%8, %9, %10, %11", "%12", "%13")               \
  PERGOLA_MULTIPLY(T, Type, 32, 16, 0, "%16, %17, %18, %19", "%20", "%21")            \
  PERGOLA_MULTIPLY(T, Type, 32, 16, 1, "%16, %17, %18, %19", "%20", "%21")            \
  PERGOLA_MULTIPLY(T, Type, 64, 32, 0, "%32, %33, %34, %35", "%36", "%37")            \
  PERGOLA_MULTIPLY(T, Type, 64, 32, 1, "%32, %33, %34, %35", "%36", "%37")            \
  PERGOLA_MULTIPLY(T, Type, 128, 64, 0, "%64, %65, %66, %67", "%68", "%69")

PERGOLA_MULTIPLY_ALL(__half, "f16")
PERGOLA_MULTIPLY_ALL(__nv_bfloat16, "bf16")

// Both operands in shared memory, both stored with their summed axis contiguous.
template <typename T, int N>
struct MultiplyShared;

#define PERGOLA_MULTIPLY_SHARED(T, Type, N, Sums, a_name, b_name, accumulate_name)                   \
  template <>                                                                                        \
  struct MultiplyShared<T, N> {                                                                      \
    static __device__ __forceinline__ void run(float (&d)[Sums], uint64_t a, uint64_t b, int accumulate) { \
      asm volatile(PERGOLA_WGMMA(Type, N, Sums, a_name, b_name, accumulate_name, "0, 0")             \
                   : PERGOLA_SUMS_##Sums(0)                                                          \
                   : "l"(a), "l"(b), "r"(accumulate));                                               \
    }                                                                                                \
  };
#define PERGOLA_MULTIPLY_SHARED_ALL(T, Type)                             \
  PERGOLA_MULTIPLY_SHARED(T, Type, 32, 16, "%16", "%17", "%18")          \
  PERGOLA_MULTIPLY_SHARED(T, Type, 64, 32, "%32", "%33", "%34")          \
  PERGOLA_MULTIPLY_SHARED(T, Type, 96, 48, "%48", "%49", "%50")          \
  PERGOLA_MULTIPLY_SHARED(T, Type, 128, 64, "%64", "%65", "%66")         \
  PERGOLA_MULTIPLY_SHARED(T, Type, 192, 96, "%96", "%97", "%98")         \
  PERGOLA_MULTIPLY_SHARED(T, Type, 256, 128, "%128", "%129", "%130")

PERGOLA_MULTIPLY_SHARED_ALL(__half, "f16")
PERGOLA_MULTIPLY_SHARED_ALL(__nv_bfloat16, "bf16")

}  // namespace pergola::wgmma
