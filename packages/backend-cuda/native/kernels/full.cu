// full: every element the same. The TypeScript side repeats the element's bits in a 4-byte word.
#include "pack.cuh"

namespace pergola {
namespace {

struct FullParams {
  uint32_t word;
  // Words of the output; the last may reach past a tensor of small elements, up to the next multiple of 4 bytes.
  uint32_t words;
};

__global__ void fill(uint32_t* __restrict__ out, FullParams p) {
  const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  if (i + 4 <= p.words) {
    store_pack<4>(out + i, Pack<uint32_t, 4>{p.word, p.word, p.word, p.word});
  } else {
    for (uint32_t j = i; j < p.words; j++) out[j] = p.word;
  }
}

}  // namespace

PERGOLA_LAUNCHER(full) {
  const auto& p = call.as<FullParams>();
  fill<<<ceil_div(ceil_div(p.words, 4), 256), 256, 0, call.stream>>>(call.out<uint32_t>(0), p);
  check_launch("full");
}

}  // namespace pergola
