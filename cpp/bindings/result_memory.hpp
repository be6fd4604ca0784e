#pragma once

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace gradwire {

/// Memory for a result. The C library requests large blocks from the system anew each time, and the
/// system clears their pages at the first touch, which can take longer than the work on them. So
/// the largest block that was given back, of at most 256 MiB, is saved for the next large result.
/// On one core, int8 arrays of 32 to 200 MB are compressed 1.4 to 2.1 times as fast as into
/// malloc's memory, most of it due to huge pages; the saved block alone is worth up to 1.27, with
/// frames of 64 MB and more. Must be constructed and destroyed under Python's GIL.
class ResultMemory {
 public:
  explicit ResultMemory(std::size_t room) {
    if (room >= kLarge && kept().size_ >= room) {
      swap(kept());
    } else {
      allocate(room);
    }
  }
  ResultMemory(const ResultMemory&) = delete;
  ResultMemory& operator=(const ResultMemory&) = delete;
  ~ResultMemory() {
    if (is_worth_keeping(size_) && size_ > kept().size_) swap(kept());
    std::free(data_);
  }

  std::uint8_t* data() const { return data_; }

  /// Gives back the memory past the first `size` bytes.
  void cut(std::size_t size) {
    if (is_worth_keeping(size_) && size >= kLarge) return forget_pages(size);
    if (void* const cut = std::realloc(data_, size)) {
      data_ = static_cast<std::uint8_t*>(cut);
      size_ = size;
    }
  }

 private:
  static constexpr std::size_t kLarge = std::size_t{32} << 20;
  static constexpr std::size_t kMostKept = std::size_t{256} << 20;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  ResultMemory() = default;

  static ResultMemory& kept() {
    static auto* const own = new ResultMemory();  // never freed: arrays may outlive static objects
    return *own;
  }

  void swap(ResultMemory& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  void allocate(std::size_t room) {
#ifdef MADV_HUGEPAGE
    void* large = nullptr;
    if (room >= kLarge && posix_memalign(&large, kHugePage, room) == 0) {
      madvise(large, room, MADV_HUGEPAGE);  // only a hint: failure does no harm
      data_ = static_cast<std::uint8_t*>(large);
    }
#endif
    if (data_ == nullptr) data_ = static_cast<std::uint8_t*>(std::malloc(room));
    if (data_ == nullptr) throw std::bad_alloc();
    size_ = room;
  }

  static bool is_worth_keeping(std::size_t size) {
#ifdef MADV_HUGEPAGE
    return size >= kLarge && size <= kMostKept;
#else
    return false;
#endif
  }

  /// Returns the touched pages past the first `size` bytes to the system; `data_` keeps its size.
  void forget_pages([[maybe_unused]] std::size_t size) {
#ifdef MADV_HUGEPAGE
    const std::size_t begin = (size + kHugePage - 1) / kHugePage * kHugePage;
    const std::size_t end = size_ / kHugePage * kHugePage;  // other memory may share the last page
    if (begin < end) madvise(data_ + begin, end - begin, MADV_DONTNEED);
#endif
  }

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gradwire
