#pragma once

// Sums over an array of floats, and the weighted sum of two arrays.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "float_lanes.inl.hpp"

namespace gradwire {
namespace {

float sum_of_lanes(FloatLanes v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// Several sets of lanes take turns, so that no addition has to wait for the one before it.
template <bool All>
struct LaneStats {
  static constexpr size_t kSets = 4;
  FloatLanes sum[kSets] = {};
  FloatLanes squares[kSets] = {};
  FloatLanes magnitudes[kSets] = {};
  UintLanes largest[2] = {};

  // Set k takes the kLanes elements at p + k * distance.
  [[gnu::always_inline]] void add(const float* p, size_t distance) {
    for (size_t k = 0; k < kSets; ++k) {
      const FloatLanes x = load_lanes<FloatLanes>(p + k * distance);
      const UintLanes bits = reinterpret_cast<UintLanes>(x) & kMagnitude;
      largest[k % 2] = larger(largest[k % 2], bits);
      squares[k] += x * x;
      if constexpr (All) {
        sum[k] += x;
        magnitudes[k] += reinterpret_cast<FloatLanes>(bits);
      }
    }
  }

  void add_to(FloatStats& stats) const {
    stats.sum_of_squares += total(squares);
    if constexpr (All) {
      stats.sum += total(sum);
      stats.sum_of_magnitudes += total(magnitudes);
    }
    const UintLanes lanes = larger(largest[0], largest[1]);
    uint32_t most = stats.largest;
    for (size_t i = 0; i < kLanes; ++i) most = lanes[i] > most ? lanes[i] : most;
    stats.largest = most;
  }

  static UintLanes larger(UintLanes a, UintLanes b) { return a > b ? a : b; }
  static float total(const FloatLanes (&sets)[kSets]) {
    return sum_of_lanes((sets[0] + sets[1]) + (sets[2] + sets[3]));
  }
};

// Reads several distant places in turn, because memory delivers several streams faster than one.
// Returns the number of elements taken, which is 0 for small arrays; the caller takes the rest.
template <bool All>
size_t add_far_stats(const float* x, size_t count, FloatStats* stats) {
  constexpr size_t kSets = LaneStats<All>::kSets;
  constexpr size_t kEach = kStatsBlock / kSets;
  const size_t distance = count / kStatsBlock * kEach;
  if (distance < kFarApart) return 0;
  for (size_t begin = 0; begin < distance; begin += kEach) {
    LaneStats<All> lanes;
    for (size_t i = begin; i < begin + kEach; i += kLanes) lanes.add(x + i, distance);
    lanes.add_to(*stats);
  }
  return kSets * distance;
}

template <bool All>
void add_stats(const float* x, size_t count, FloatStats* stats) {
  constexpr size_t kStep = LaneStats<All>::kSets * kLanes;
  for (size_t begin = add_far_stats<All>(x, count, stats); begin < count; begin += kStatsBlock) {
    const size_t end = count - begin < kStatsBlock ? count : begin + kStatsBlock;
    LaneStats<All> lanes;
    size_t i = begin;
    for (; i + kStep <= end; i += kStep) {
      load_ahead_on_intel<kStep * sizeof(float)>(x + i);
      lanes.add(x + i, kLanes);
    }
    if (i < end) lanes.add(Padded<kStep, float>(x + i, end - i).lanes, kLanes);
    lanes.add_to(*stats);
  }
}

void generic_sign_sums(const float* x, size_t count, SignSums* sums) {
  for (size_t begin = 0; begin < count; begin += kStatsBlock) {
    const size_t end = count - begin < kStatsBlock ? count : begin + kStatsBlock;
    FloatLanes above = {};
    FloatLanes below = {};
    const auto add = [&](FloatLanes v) {
      const IntLanes is_below = v < 0.0f;
      above += is_below ? FloatLanes{} : v;
      below -= is_below ? v : FloatLanes{};
    };
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      load_ahead_on_intel<sizeof(FloatLanes)>(x + i);
      add(load_lanes<FloatLanes>(x + i));
    }
    if (i < end) add(load_lanes<FloatLanes>(Padded<kLanes, float>(x + i, end - i).lanes));
    sums->above += sum_of_lanes(above);
    sums->below += sum_of_lanes(below);
  }
}

template <typename Steps>
void combine(const float* x, size_t count, float gamma, float beta, const float* residual,
             float* out) {
  const FloatLanes most = FloatLanes{} + 0x1.FFFFFEp127f;
  const auto step = [&](const float* a, const float* b, float* to) __attribute__((always_inline)) {
    const FloatLanes sum = gamma * load_lanes<FloatLanes>(a) + beta * load_lanes<FloatLanes>(b);
    store_lanes(to, Steps::larger(Steps::smaller(sum, most), -most));
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    load_ahead_on_intel<sizeof(FloatLanes)>(x + i);
    load_ahead_on_intel<sizeof(FloatLanes)>(residual + i);
    step(x + i, residual + i, out + i);
  }
  if (i == count) return;
  const Padded<kLanes, float> a(x + i, count - i);
  const Padded<kLanes, float> b(residual + i, count - i);
  float rest[kLanes];
  step(a.lanes, b.lanes, rest);
  memcpy(out + i, rest, (count - i) * sizeof(float));
}

}  // namespace
}  // namespace gradwire
