#include "crc32c.hpp"

#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

/// Product of two polynomials modulo the CRC's, bits reflected (the unit is 0x80000000).
std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  constexpr std::uint32_t kPolynomial = 0x82F63B78;
  std::uint32_t product = 0;
  for (std::uint32_t bit = 0x80000000; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b & 1) ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

/// x^(8 * bytes): multiplying a CRC with it has the effect of that many zero bytes.
std::uint32_t shift_by(std::uint64_t bytes) {
  std::uint32_t power = 0x00800000;  // x^8
  std::uint32_t result = 0x80000000;
  for (; bytes != 0; bytes >>= 1) {
    if (bytes & 1) result = multiply(result, power);
    power = multiply(power, power);
  }
  return result;
}

}  // namespace

Crc32c::Crc32c(std::span<const std::uint8_t> bytes)
    : value_(kernels().crc32c(0, bytes.data(), bytes.size())), size_(bytes.size()) {}

void Crc32c::append(const Crc32c& next) {
  value_ = multiply(value_, shift_by(next.size_)) ^ next.value_;
  size_ += next.size_;
}

}  // namespace gradwire
