#include "pinned.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "errors.h"

namespace pergola {

namespace {
constexpr size_t kRingBytes = size_t{64} << 20;
// Large uploads pass in pieces of this size: while one is copied, the next is filled.
constexpr size_t kPieceBytes = size_t{8} << 20;
constexpr size_t kRingAlignment = 256;
// What the cache keeps at the most; larger buffers go back at once.
constexpr size_t kCacheBytes = size_t{256} << 20;
constexpr size_t kSmallestBuffer = 4096;

void* pin(size_t bytes) {
  void* host = nullptr;
  const cudaError_t status = cudaMallocHost(&host, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw OutOfMemory("no room for " + std::to_string(bytes) + " bytes of pinned host memory");
  }
  check(status, "cudaMallocHost");
  return host;
}
}  // namespace

PinnedCopy::PinnedCopy(const void* source, size_t bytes) : host(pin(std::max<size_t>(bytes, 1))) {
  std::memcpy(host, source, bytes);
}

PinnedCopy::~PinnedCopy() { cudaFreeHost(host); }

StagingRing::~StagingRing() {
  while (retire_oldest(true)) continue;
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
  if (host_ != nullptr) cudaFreeHost(host_);
}

cudaEvent_t StagingRing::take_event() {
  if (!events_.empty()) {
    const cudaEvent_t event = events_.back();
    events_.pop_back();
    return event;
  }
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "upload");
  return event;
}

bool StagingRing::retire_oldest(bool wait) {
  if (pieces_.empty()) return false;
  const Piece piece = pieces_.front();
  if (!wait) {
    const cudaError_t status = cudaEventQuery(piece.done);
    if (status == cudaErrorNotReady) {
      cudaGetLastError();
      return false;
    }
  } else {
    // An error shows up in the call that meets it next; here the piece is done either way.
    cudaEventSynchronize(piece.done);
  }
  pieces_.pop_front();
  events_.push_back(piece.done);
  tail_ = piece.end;
  return true;
}

size_t StagingRing::reserve(size_t bytes) {
  while (retire_oldest(false)) continue;
  for (;;) {
    if (pieces_.empty()) head_ = tail_ = 0;
    // While copies are under way, an equal head and tail mean a full ring.
    const bool wrapped = !pieces_.empty() && head_ <= tail_;
    if (wrapped) {
      if (head_ + bytes <= tail_) return head_;
    } else {
      if (head_ + bytes <= kRingBytes) return head_;
      if (bytes <= tail_) return 0;
    }
    retire_oldest(true);
  }
}

void StagingRing::upload(void* target, const void* source, size_t bytes, cudaStream_t stream) {
  if (host_ == nullptr) host_ = static_cast<uint8_t*>(pin(kRingBytes));
  auto* to = static_cast<uint8_t*>(target);
  const auto* from = static_cast<const uint8_t*>(source);
  for (size_t done = 0; done < bytes;) {
    const size_t part = std::min(kPieceBytes, bytes - done);
    const size_t held = (part + kRingAlignment - 1) / kRingAlignment * kRingAlignment;
    const size_t at = reserve(held);
    std::memcpy(host_ + at, from + done, part);
    check(cudaMemcpyAsync(to + done, host_ + at, part, cudaMemcpyHostToDevice, stream), "upload");
    const cudaEvent_t event = take_event();
    const cudaError_t status = cudaEventRecord(event, stream);
    if (status != cudaSuccess) events_.push_back(event);
    check(status, "upload");
    head_ = at + held;
    pieces_.push_back({event, head_});
    done += part;
  }
}

PinnedCache::~PinnedCache() {
  for (const auto& [bytes, host] : free_) cudaFreeHost(host);
}

void* PinnedCache::take(size_t bytes) {
  size_t room = kSmallestBuffer;
  while (room < bytes && room < kCacheBytes) room *= 2;
  room = std::max(room, bytes);
  const std::lock_guard<std::mutex> lock(guard_);
  const auto fit = free_.find(room);
  if (fit != free_.end()) {
    void* host = fit->second;
    free_.erase(fit);
    free_bytes_ -= room;
    taken_[host] = room;
    return host;
  }
  void* host = pin(room);
  taken_[host] = room;
  return host;
}

void PinnedCache::give(void* host) {
  {
    const std::lock_guard<std::mutex> lock(guard_);
    const auto at = taken_.find(host);
    const size_t bytes = at->second;
    taken_.erase(at);
    if (free_bytes_ + bytes <= kCacheBytes) {
      free_.insert({bytes, host});
      free_bytes_ += bytes;
      return;
    }
  }
  // Releasing waits for the device; nobody else has to.
  cudaFreeHost(host);
}

}  // namespace pergola
