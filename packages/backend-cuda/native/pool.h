// The caching allocator: large blocks from the driver, cut up and handed out again without asking it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>

namespace pergola {

// Best-fit allocator over large cudaMalloc segments. Everything runs on one stream, so a freed block may be
// handed out again at once: later work is ordered behind the work that still uses it.
class Pool {
 public:
  // A pool that lives beside others asks `relief` to give back what they do not need before it runs out of memory.
  // `exact`: every block is an allocation of the driver's own, no longer than asked for, that goes back when it is
  // freed; tools that watch the bounds of memory see those of every tensor.
  Pool(bool exact, Pool* relief) : exact_(exact), relief_(relief) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // At least `bytes` on a boundary of 256. Throws OutOfMemory.
  void* allocate(size_t bytes);
  // False when the address is not from this pool.
  bool free(void* address);
  // Returns wholly free segments to the driver.
  void trim();
  size_t live_bytes() const { return live_; }
  size_t pooled_bytes() const { return reserved_ - live_; }

 private:
  struct Block {
    size_t bytes;
    bool used;
    uintptr_t segment;
  };
  // Free blocks by the kind of their segment, size and address.
  using FreeBlock = std::tuple<bool, size_t, uintptr_t>;

  bool is_large(uintptr_t segment) const;
  FreeBlock key(uintptr_t address, const Block& block) const { return {is_large(block.segment), block.bytes, address}; }
  // The smallest free block of that kind that has room, or the end.
  std::set<FreeBlock>::iterator best_fit(bool large, size_t needed);
  std::set<FreeBlock>::iterator find_room(size_t needed);
  // A segment of `bytes` from the driver; false when it has none.
  bool grow(size_t bytes);

  bool exact_;
  Pool* relief_;
  std::map<uintptr_t, Block> blocks_;
  std::set<FreeBlock> free_;
  std::map<uintptr_t, size_t> segments_;
  size_t live_ = 0;
  size_t reserved_ = 0;
};

}  // namespace pergola
