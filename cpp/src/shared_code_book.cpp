#include "shared_code_book.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "entropy_coder.hpp"
#include "gradwire/error.hpp"
#include "token_book.hpp"
#include "value_counts.hpp"
#include "varint.hpp"

namespace gradwire {
namespace {

constexpr std::uint8_t kBookMagic[3] = {'G', 'B', 1};
constexpr std::uint64_t kExpected = std::uint64_t{1} << 20;  // elements of all arrays, for tables

/// FNV-1a, 64 bits (Fowler, Noll and Vo), of the dtype and the code book.
std::uint64_t hash(DType dtype, std::span<const std::uint8_t> code_book) {
  std::uint64_t hash = 0xCBF29CE484222325;
  const auto add = [&](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001B3; };
  add(static_cast<std::uint8_t>(dtype));
  for (const std::uint8_t byte : code_book) add(byte);
  return hash;
}

void append_costs(std::vector<std::uint8_t>& out, const ClassCosts& costs) {
  for (const auto* of : {costs.label, costs.negative, costs.zero, costs.positive}) {
    for (std::size_t k = 0; k < costs.size; ++k) {
      append_varint(out, static_cast<std::uint64_t>(std::max(0, of[k])));
    }
  }
}

ClassCosts read_costs(ByteReader& reader, std::size_t classes) {
  ClassCosts costs{};
  costs.size = classes;
  for (auto* of : {costs.label, costs.negative, costs.zero, costs.positive}) {
    for (std::size_t k = 0; k < classes; ++k) {
      const std::uint64_t cost = reader.varint();
      if (cost > kMostCost) throw CorruptFrameError("code book has an impossible cost");
      of[k] = static_cast<std::int32_t>(cost);
    }
  }
  return costs;
}

/// The books that exist. Several may have one name: they differ in what encoders need.
struct Loaded {
  std::mutex mutex;
  std::multimap<std::uint64_t, std::weak_ptr<const LoadedCodeBook>> by_name;
};

Loaded& loaded() {
  static Loaded* const all = new Loaded;  // never freed: threads may outlive static objects
  return *all;
}

#if defined(__unix__) || defined(__APPLE__)
// A child of fork() must not find the mutex locked by a thread that it has not.
const int fork_handler =
    pthread_atfork([] { loaded().mutex.lock(); }, [] { loaded().mutex.unlock(); },
                   [] { loaded().mutex.unlock(); });
#endif

/// The book itself, or an equal one that exists already.
std::shared_ptr<const LoadedCodeBook> publish(std::span<const std::uint8_t> bytes) {
  auto book = std::make_shared<const LoadedCodeBook>(bytes);
  const std::lock_guard lock(loaded().mutex);
  std::erase_if(loaded().by_name, [](const auto& entry) { return entry.second.expired(); });
  const auto [begin, end] = loaded().by_name.equal_range(book->name());
  for (auto known = begin; known != end; ++known) {
    const auto existing = known->second.lock();
    if (!existing) continue;
    if (std::ranges::equal(existing->bytes(), bytes)) return existing;
    if (!std::ranges::equal(existing->code_book(), book->code_book())) {
      throw CorruptFrameError("another shared code book has the name of this one");
    }
  }
  loaded().by_name.emplace(book->name(), book);
  return book;
}

}  // namespace

LoadedCodeBook::LoadedCodeBook(std::span<const std::uint8_t> bytes)
    : bytes_(bytes.begin(), bytes.end()) {
  ByteReader reader(bytes_);
  const auto magic = reader.take(3);
  if (magic[0] != kBookMagic[0] || magic[1] != kBookMagic[1]) {
    throw CorruptFrameError("not a shared code book: the first two bytes are not 'GB'");
  }
  const std::uint8_t dtype = reader.byte();
  if (magic[2] != kBookMagic[2] || dtype >= kDTypeCount) {
    throw UnsupportedFormatError("shared code book has a version or dtype that is unknown");
  }
  dtype_ = static_cast<DType>(dtype);
  code_book_ = reader.take(reader.varint());
  name_ = hash(dtype_, code_book_);
  const EntropyBook book =
      damage_not_truncation([&] { return read_entropy_book(code_book_, dtype_); });
  if (book.of_class.empty() || !book.has_exceptions) {
    throw CorruptFrameError("shared code book cannot code every array");
  }
  EntropyModel model{};
  model.smallest = smallest_ = book.smallest;
  model.background = book.background;
  model.has_exceptions = true;
  model.classes = read_costs(reader, book.of_class.size());
  if (reader.left() != 0) throw CorruptFrameError("bytes follow the end of a shared code book");
  for (const auto& of_class : book.of_class) {
    model.books.push_back(read_token_book(of_class));
    if (!can_code_others(model.books.back())) {
      throw CorruptFrameError("shared code book cannot code every array");
    }
  }
  encoder_ = make_entropy_encoder(std::move(model), dtype_, kExpected);
  decoder_ = make_entropy_decoder(book, dtype_, kExpected);
  if (!std::ranges::equal(encoder_->code_book(), code_book_)) {
    throw CorruptFrameError("shared code book is not in its shortest form");
  }
}

bool LoadedCodeBook::fits(const ChunkedArray& array) const {
  if (array.elements.dtype != dtype_) return false;
  const KeyRange range = key_range(array);
  return range.smallest >= smallest_ && range.largest - smallest_ <= 255;
}

std::shared_ptr<const LoadedCodeBook> find_code_book(std::span<const std::uint8_t> name) {
  std::uint64_t number;
  std::memcpy(&number, name.data(), kBookNameBytes);
  const std::lock_guard lock(loaded().mutex);
  const auto [begin, end] = loaded().by_name.equal_range(number);
  for (auto known = begin; known != end; ++known) {
    if (auto book = known->second.lock()) return book;
  }
  throw MissingCodeBookError(
      "the frame needs a shared code book that this process has not; load the code_book of the "
      "codec that made it, and keep that object");
}

std::shared_ptr<const SharedCodeBook> SharedCodeBook::fit(const ArrayView& sample) {
  ChunkedArray array{};
  std::uint64_t count = 1;
  for (const std::uint64_t dimension : sample.shape) count *= dimension;
  if (count == 0) throw std::invalid_argument("a code book cannot be fitted to an empty array");
  array.elements = {static_cast<const std::uint8_t*>(sample.data), static_cast<std::size_t>(count),
                    sample.dtype};
  array.borders = {0, count};
  array.threads = 1;
  auto model = fit_entropy_model(array, Fitted::kForOthers);
  if (!model) {
    throw std::invalid_argument("a code book takes values that lie at most 255 apart");
  }
  std::vector<std::uint8_t> bytes(std::begin(kBookMagic), std::end(kBookMagic));
  bytes.push_back(static_cast<std::uint8_t>(sample.dtype));
  const ClassCosts classes = model->classes;
  const auto encoder = make_entropy_encoder(std::move(*model), sample.dtype, 0);
  append_varint(bytes, encoder->code_book().size());
  bytes.insert(bytes.end(), encoder->code_book().begin(), encoder->code_book().end());
  append_costs(bytes, classes);
  return publish(bytes);
}

std::shared_ptr<const SharedCodeBook> SharedCodeBook::read(std::span<const std::uint8_t> bytes) {
  return publish(bytes);
}

}  // namespace gradwire
