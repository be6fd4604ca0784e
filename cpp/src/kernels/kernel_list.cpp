#include "kernels/kernel_list.hpp"

#include <iterator>

namespace gradwire {

std::vector<NamedKernel> list_kernels(const Kernels& table) {
#define NAMED(member) \
  NamedKernel { #member, reinterpret_cast<void (*)()>(table.member) }
  const NamedKernel all[] = {
      NAMED(bytes.histogram),
      NAMED(bytes.find_outside),
      NAMED(bytes.map_bytes),
      NAMED(bytes.crc32c),
      NAMED(bytes.run_starts),
      NAMED(bytes.narrow),
      NAMED(bytes.widen),
      NAMED(bytes.range),
      NAMED(codes.encode_bytes),
      NAMED(codes.decode_bytes),
      NAMED(tokens.block_signs),
      NAMED(tokens.cheapest_classes),
      NAMED(tokens.block_groups),
      NAMED(tokens.cheapest_by_groups),
      NAMED(tokens.tokenize),
      NAMED(tokens.expand),
      NAMED(bins.write),
      NAMED(bins.read),
      NAMED(bins.find_others),
      NAMED(pivot.split),
      NAMED(pivot.plane),
      NAMED(pivot.place),
      NAMED(pivot.place_plane),
      NAMED(pivot.compose),
      NAMED(pivot.gather),
      NAMED(pivot.scatter_add),
      NAMED(floats.from_float16),
      NAMED(floats.from_bfloat16),
      NAMED(floats.from_float64),
      NAMED(floats.stats),
      NAMED(floats.squares),
      NAMED(floats.sign_sums),
      NAMED(floats.combine),
      NAMED(floats.levels.quantize),
      NAMED(floats.levels.dequantize),
      NAMED(floats.wide_levels.quantize),
      NAMED(floats.wide_levels.dequantize),
      NAMED(floats.signs),
      NAMED(floats.from_signs),
      NAMED(floats.keep_bits),
      NAMED(floats.spread_bits),
      NAMED(floats.to_powers),
      NAMED(floats.from_powers),
      NAMED(floats.select),
      NAMED(floats.count_above),
      NAMED(floats.nonzero_bits),
      NAMED(floats.keep_nonzeros),
      NAMED(floats.put_nonzeros),
      NAMED(floats.count_ones),
      NAMED(floats.split),
      NAMED(floats.join),
  };
#undef NAMED
  constexpr std::size_t kOthers = 3;  // name, encodes_rows, move_cost: no kernels, as large as one
  static_assert(sizeof(Kernels) == (std::size(all) + kOthers) * sizeof(void*),
                "list the new kernel above, in the order of the tables");
  return {std::begin(all), std::end(all)};
}

}  // namespace gradwire
