#include "codecs/loaded_code_book.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "gradwire/error.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {
namespace {

/// FNV-1a, 64 bits (Fowler, Noll and Vo), of the dtype and the code book.
std::uint64_t hash(DType dtype, std::span<const std::uint8_t> code_book) {
  std::uint64_t hash = 0xCBF29CE484222325;
  const auto add = [&](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001B3; };
  add(static_cast<std::uint8_t>(dtype));
  for (const std::uint8_t byte : code_book) add(byte);
  return hash;
}

/// The loaded code books. Several may have the same name: they differ only in what encoders need.
struct Loaded {
  std::mutex mutex;
  std::multimap<std::uint64_t, std::weak_ptr<const LoadedCodeBook>> by_name;
};

Loaded& loaded() {
  static Loaded* const all = new Loaded;  // never freed: threads may outlive static objects
  return *all;
}

#if defined(__unix__) || defined(__APPLE__)
// A child of fork() must not find the mutex locked by a thread that does not exist in the child.
const int fork_handler =
    pthread_atfork([] { loaded().mutex.lock(); }, [] { loaded().mutex.unlock(); },
                   [] { loaded().mutex.unlock(); });
#endif

}  // namespace

LoadedCodeBook::LoadedCodeBook(std::vector<std::uint8_t> bytes,
                               std::span<const std::uint8_t> code_book, BookCoders coders)
    : bytes_(std::move(bytes)),
      code_book_(code_book),
      coders_(std::move(coders)),
      name_(hash(coders_.dtype, code_book)) {}

bool LoadedCodeBook::fits(const ChunkedArray& array) const {
  if (array.elements.dtype != coders_.dtype) return false;
  if (!coders_.smallest) return true;
  const KeyRange range = key_range(array);
  return range.smallest >= *coders_.smallest && range.largest - *coders_.smallest <= 255;
}

namespace {

/// Null if no code book of this name is loaded.
std::shared_ptr<const LoadedCodeBook> loaded_by(std::uint64_t name) {
  const std::lock_guard lock(loaded().mutex);
  const auto [begin, end] = loaded().by_name.equal_range(name);
  for (auto known = begin; known != end; ++known) {
    if (auto book = known->second.lock()) return book;
  }
  return nullptr;
}

}  // namespace

std::shared_ptr<const LoadedCodeBook> publish(std::shared_ptr<const LoadedCodeBook> book) {
  const std::lock_guard lock(loaded().mutex);
  std::erase_if(loaded().by_name, [](const auto& entry) { return entry.second.expired(); });
  const auto [begin, end] = loaded().by_name.equal_range(book->name());
  for (auto known = begin; known != end; ++known) {
    const auto existing = known->second.lock();
    if (!existing) continue;
    if (std::ranges::equal(existing->bytes(), book->bytes())) return existing;
    if (!std::ranges::equal(existing->code_book(), book->code_book())) {
      throw CorruptFrameError("a different shared code book with the same name is already loaded");
    }
  }
  loaded().by_name.emplace(book->name(), book);
  return book;
}

std::shared_ptr<const LoadedCodeBook> find_code_book(std::span<const std::uint8_t> name,
                                                     DType dtype, Layout layout) {
  std::uint64_t number;
  std::memcpy(&number, name.data(), kBookNameBytes);
  auto book = loaded_by(number);
  if (book == nullptr) {
    throw MissingCodeBookError(
        "the frame needs a shared code book that is not loaded in this process; load the "
        "code_book of the codec that made the frame, and keep the loaded object alive");
  }
  if (book->dtype() != dtype || book->encoder().layout() != layout) {
    throw CorruptFrameError(
        "the frame names a shared code book that was made for another dtype or layout");
  }
  return book;
}

}  // namespace gradwire
