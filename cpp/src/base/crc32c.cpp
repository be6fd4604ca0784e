#include "base/crc32c.hpp"

#include <array>

#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

/// Product of two polynomials modulo that of the CRC. Bits are reflected: 0x80000000 is the
/// polynomial 1.
constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  constexpr std::uint32_t kPolynomial = 0x82F63B78;
  std::uint32_t product = 0;
  for (; a != 0; a <<= 1) {
    product ^= b & (0 - (a >> 31));
    b = b >> 1 ^ (kPolynomial & (0 - (b & 1)));
  }
  return product;
}

/// kPowers[k] is x^(8 * 2^k).
constexpr auto kPowers = [] {
  std::array<std::uint32_t, 64> powers{0x00800000};  // x^8
  for (std::size_t k = 1; k < powers.size(); ++k) {
    powers[k] = multiply(powers[k - 1], powers[k - 1]);
  }
  return powers;
}();

/// The effect on a CRC of appending `bytes` zero bytes.
std::uint32_t shift(std::uint32_t crc, std::uint64_t bytes) {
  if (crc == 0) return 0;
  for (std::size_t k = 0; bytes != 0; ++k, bytes >>= 1) {
    if (bytes & 1) crc = multiply(kPowers[k], crc);
  }
  return crc;
}

}  // namespace

Crc32c::Crc32c(std::span<const std::uint8_t> bytes) { extend(bytes); }

void Crc32c::extend(std::span<const std::uint8_t> bytes) {
  value_ = kernels().bytes.crc32c(value_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void Crc32c::append(const Crc32c& next) {
  value_ = shift(value_, next.size_) ^ next.value_;
  size_ += next.size_;
}

}  // namespace gradwire
