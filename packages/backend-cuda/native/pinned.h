// Page-locked host memory: the only kind that the device copies from and to while the host goes on.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

namespace pergola {

// Pinned host bytes that a captured upload reads at every replay.
struct PinnedCopy {
  PinnedCopy(const void* source, size_t bytes);
  ~PinnedCopy();
  PinnedCopy(const PinnedCopy&) = delete;
  PinnedCopy& operator=(const PinnedCopy&) = delete;
  void* host = nullptr;
};

// A ring that uploads pass through. The host waits only when the ring is full of copies that the stream has not reached.
class StagingRing {
 public:
  StagingRing() = default;
  ~StagingRing();
  StagingRing(const StagingRing&) = delete;
  StagingRing& operator=(const StagingRing&) = delete;

  // Copies in pieces; returns once `source` may be changed.
  void upload(void* target, const void* source, size_t bytes, cudaStream_t stream);

 private:
  // A copy under way, which holds the ring up to `end`.
  struct Piece {
    cudaEvent_t done;
    size_t end;
  };
  // A free stretch of `bytes`, waiting for the oldest copies where there is none.
  size_t reserve(size_t bytes);
  // Frees what the oldest copy holds. `wait`: also when it is not done yet. False when nothing was freed.
  bool retire_oldest(bool wait);
  cudaEvent_t take_event();

  uint8_t* host_ = nullptr;
  // Held is what lies from `tail_` on up to `head_`, round the end of the ring.
  size_t head_ = 0;
  size_t tail_ = 0;
  std::deque<Piece> pieces_;
  std::vector<cudaEvent_t> events_;
};

// Downloads arrive in buffers of this size and one smaller.
constexpr size_t kPinnedPiece = size_t{8} << 20;

// Buffers that downloads arrive in, kept for the next ones: page-locking memory takes longer than most copies, and
// releasing it waits for the device. Shared between the main thread and the threads that wait for downloads.
class PinnedCache {
 public:
  ~PinnedCache();
  void* take(size_t bytes);
  void give(void* host);

 private:
  std::mutex guard_;
  // Sizes of the buffers that are out, and free buffers by size.
  std::map<void*, size_t> taken_;
  std::multimap<size_t, void*> free_;
  size_t free_bytes_ = 0;
};

}  // namespace pergola
