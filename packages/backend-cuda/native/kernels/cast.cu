// cast: every pair of dtypes. Float to integer truncates and saturates, NaN gives 0; integers keep their low bits.
#include "broadcast.cuh"

namespace pergola {
namespace {

struct CastParams {
  int32_t from, to;
  BroadcastShape<1> shape;
};

template <typename To, typename From>
struct Convert {
  __device__ To operator()(From element) const {
    const Arith<From> x = widen(element);
    if constexpr (std::is_same_v<To, bool>) return x != Arith<From>(0);
    // Moves the bits, so that NaN keeps its payload.
    else if constexpr (std::is_same_v<To, From>) return element;
    else if constexpr (kIsFloat<To>) return static_cast<To>(static_cast<float>(x));
    else if constexpr (!kIsFloat<From>) return static_cast<To>(x);
    // The conversions of the chip saturate and turn NaN into 0.
    else if constexpr (std::is_same_v<To, int32_t>) return __float2int_rz(x);
    else if constexpr (std::is_same_v<To, uint32_t>) return __float2uint_rz(x);
    else return static_cast<To>(min(__float2uint_rz(x), 255u));
  }
};

template <typename To>
void convert(const Call& call, const CastParams& p) {
  with_any(p.from, [&](auto zero) {
    using From = decltype(zero);
    launch_map(call, p.shape, call.in<From>(0), call.out<To>(1), Convert<To, From>{});
  });
}

}  // namespace

PERGOLA_LAUNCHER(cast) {
  const auto& p = call.as<CastParams>();
  if (p.to == BOOL) convert<bool>(call, p);
  else with_number(p.to, [&](auto zero) { convert<decltype(zero)>(call, p); });
  check_launch("cast");
}

}  // namespace pergola
