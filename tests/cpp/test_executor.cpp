#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/executor.hpp"
#include "gradwire/runtime.hpp"

TEST_CASE("every index runs once, whatever the number of threads") {
  for (const int threads : {1, 2, 3, 50}) {
    std::vector<std::atomic<int>> seen(1000);
    gradwire::for_each(seen.size(), threads, [&](std::size_t i) { ++seen[i]; });
    for (const auto& n : seen) CHECK(n == 1);
  }
  gradwire::for_each(0, 4, [](std::size_t) { FAIL("there is nothing to do"); });
}

TEST_CASE("an exception comes out, and the next call works") {
  for (int round = 0; round < 20; ++round) {
    CHECK_THROWS_WITH_AS(gradwire::for_each(100, 4,
                                            [](std::size_t i) {
                                              if (i == 37) throw std::runtime_error("thirty-seven");
                                            }),
                         "thirty-seven", std::runtime_error);
  }
}

TEST_CASE("calls from several threads do not disturb each other") {
  std::vector<std::thread> callers;
  std::atomic<int> sum{0};
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] { gradwire::for_each(500, 2, [&](std::size_t) { ++sum; }); });
  }
  for (auto& caller : callers) caller.join();
  CHECK(sum == 2000);
}

TEST_CASE("threads are checked") {
  CHECK_THROWS_AS(gradwire::usable_threads(-1), std::invalid_argument);
  CHECK_THROWS_AS(gradwire::set_threads(-5), std::invalid_argument);
  CHECK(gradwire::usable_threads(0) >= 1);
}
