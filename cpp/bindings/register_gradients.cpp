#include <pybind11/stl.h>

#include <deque>

#include "arguments.hpp"
#include "gradwire/gradient.hpp"
#include "gradwire/sparsify.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace gradwire {
namespace {

using Floats = py::array_t<float, py::array::c_style>;

std::span<const float> span_of(const Floats& x) {
  return {x.data(), static_cast<std::size_t>(x.size())};
}
std::span<float> span_of(Floats& x) {
  return {x.mutable_data(), static_cast<std::size_t>(x.size())};
}

struct PythonGradient {
  PythonGradient(const py::array& array, FloatType type) {
    view.type = type;
    shape = shape_of(array, item_size(view.type));
    view.data = array.data();
    view.shape = shape;
  }
  PythonGradient(const PythonGradient&) = delete;

  std::vector<std::uint64_t> shape;
  GradientView view;
};

Quantizer make_quantizer(Method method, Norm norm, unsigned levels, std::uint64_t bucket_size,
                         float deviations, bool stochastic, ScaleType scale_type) {
  return {method, norm, levels, bucket_size, deviations, stochastic, scale_type};
}

GradientOptions make_options(const Quantizer& quantizer, const Options& codec, std::uint64_t stream,
                             bool zero_nonfinite, const Feedback& feedback = {}) {
  return {quantizer, codec, stream, zero_nonfinite, feedback};
}

py::array compress(const py::array& array, FloatType type, const Quantizer& quantizer,
                   const Options& codec, std::uint64_t stream, bool zero_nonfinite,
                   std::optional<Floats> residual, float beta, float gamma,
                   std::optional<Floats> next) {
  const PythonGradient input(array, type);
  for (const std::optional<Floats>& one : {residual, next}) {
    if (one && one->size() != array.size()) {
      throw py::value_error("the residual has " + std::to_string(one->size()) +
                            " elements, the gradient has " + std::to_string(array.size()));
    }
  }
  const GradientOptions options = make_options(quantizer, codec, stream, zero_nonfinite,
                                               {residual ? residual->mutable_data() : nullptr, beta,
                                                gamma, next ? next->mutable_data() : nullptr});
  return written_bytes(max_gradient_frame_size(input.view, options),
                       [&](auto out) { return compress_gradient(input.view, options, out); });
}

py::array compress_given(const py::array& levels, FloatType type, const Floats& scales,
                         std::uint64_t bucket_size, const Options& codec) {
  const bool wide = levels.itemsize() == sizeof(std::int16_t);
  const std::vector<std::uint64_t> shape = shape_of(levels, wide ? 2 : 1);
  LevelsView view{{}, shape, type, span_of(scales), bucket_size};
  if (wide) {
    view.levels = static_cast<const std::int16_t*>(levels.data());
  } else {
    view.levels = static_cast<const std::int8_t*>(levels.data());
  }
  return written_bytes(max_levels_frame_size(view),
                       [&](auto out) { return compress_levels(view, codec, out); });
}

py::array compress_some(const std::vector<std::uint64_t>& shape, FloatType type,
                        const py::array_t<std::uint32_t, py::array::c_style>& indices,
                        const Floats& values, std::optional<std::uint64_t> random_stream,
                        FloatType value_type, const Quantizer& quantizer, const Options& codec,
                        std::uint64_t stream, std::optional<Floats> sent) {
  if (indices.size() != values.size() || (sent && sent->size() != values.size())) {
    throw py::value_error("indices, values and sent must have the same number of elements");
  }
  const SparseView view{shape,
                        type,
                        {indices.data(), static_cast<std::size_t>(indices.size())},
                        values.data(),
                        random_stream};
  const GradientOptions options = make_options(quantizer, codec, stream, false);
  float* const arrived = sent ? sent->mutable_data() : nullptr;
  return written_bytes(max_sparse_frame_size(view, options), [&](auto out) {
    return compress_sparse(view, value_type, options, out, arrived);
  });
}

template <typename Level>
py::tuple quantize_to(const PythonGradient& input, const GradientOptions& options) {
  py::array_t<Level> levels(input.shape);
  std::vector<float> scales;
  Level* const out = levels.mutable_data();
  {
    const py::gil_scoped_release release;
    quantize(input.view, options, out, scales);
  }
  return py::make_tuple(levels, as_array(std::move(scales)));
}

py::tuple quantize_array(const py::array& array, FloatType type, const Quantizer& quantizer,
                         std::uint64_t stream, bool zero_nonfinite) {
  const PythonGradient input(array, type);
  const GradientOptions options = make_options(quantizer, {}, stream, zero_nonfinite);
  return quantizer.levels > kMostNarrowLevels ? quantize_to<std::int16_t>(input, options)
                                              : quantize_to<std::int8_t>(input, options);
}

template <typename Level>
py::tuple read_levels(const py::object& frame, py::array_t<Level, py::array::c_style> out, bool add,
                      float scale, int threads) {
  const Bytes in(frame, false);
  const std::span<Level> levels(out.mutable_data(), static_cast<std::size_t>(out.size()));
  LevelUnits found;
  {
    const py::gil_scoped_release release;
    found = decompress_levels(in.span(), levels, add, scale, threads);
  }
  return py::make_tuple(as_array(std::move(found.units)), found.bucket_size);
}

py::tuple inspect(const py::object& frame) {
  const Bytes in(frame, false);
  const GradientInfo info = inspect_gradient(in.span());
  py::tuple shape(info.shape.size());
  for (std::size_t i = 0; i < info.shape.size(); ++i) shape[i] = py::int_(info.shape[i]);
  return py::make_tuple(info.method, info.type, shape, info.count, info.sent);
}

py::tuple as_tuple(Selection&& selection) {
  return py::make_tuple(as_array(std::move(selection.indices)),
                        as_array(std::move(selection.values)));
}

/// Calls f() without the GIL.
template <typename F>
auto released(const F& f) {
  const py::gil_scoped_release release;
  return f();
}

void register_enums(py::module_& module) {
  py::enum_<FloatType>(module, "FloatType")
      .value("FLOAT32", FloatType::kFloat32)
      .value("FLOAT16", FloatType::kFloat16)
      .value("BFLOAT16", FloatType::kBFloat16)
      .value("FLOAT64", FloatType::kFloat64);
  py::enum_<Method>(module, "Method")
      .value("LEVELS", Method::kLevels)
      .value("SIGNS", Method::kSigns)
      .value("POWERS", Method::kPowers)
      .value("PLANES", Method::kPlanes)
      .value("SPARSE", Method::kSparse)
      .value("RANDOM", Method::kRandom)
      .value("TERNARY_SIGNS", Method::kTernarySigns)
      .value("WIDE_LEVELS", Method::kWideLevels);
  py::enum_<Norm>(module, "Norm")
      .value("L2", Norm::kL2)
      .value("MAX", Norm::kMax)
      .value("DEVIATIONS", Norm::kDeviations)
      .value("ONE", Norm::kOne)
      .value("MEAN", Norm::kMean)
      .value("TWO_MEANS", Norm::kTwoMeans);
  py::enum_<ScaleType>(module, "ScaleType")
      .value("FLOAT32", ScaleType::kFloat32)
      .value("BFLOAT16", ScaleType::kBFloat16)
      .value("LOG8", ScaleType::kLog8);
  py::enum_<TailFit>(module, "TailFit")
      .value("EXPONENTIAL", TailFit::kExponential)
      .value("GAMMA_PARETO", TailFit::kGammaPareto)
      .value("PARETO", TailFit::kPareto);
}

void register_sparsify(py::module_& module) {
  module.def(
      "select_above",
      [](const Floats& x, float threshold, int threads) {
        return as_tuple(released([&] { return select_above(span_of(x), threshold, threads); }));
      },
      py::arg("x"), py::arg("threshold"), py::arg("threads"));
  module.def(
      "count_above",
      [](const Floats& x, float threshold, int threads) {
        return released([&] { return count_above(span_of(x), threshold, threads); });
      },
      py::arg("x"), py::arg("threshold"), py::arg("threads"));
  module.def(
      "top_k",
      [](const Floats& x, std::uint64_t k, int threads) {
        return as_tuple(released([&] { return top_k(span_of(x), k, threads); }));
      },
      py::arg("x"), py::arg("k"), py::arg("threads"));
  module.def(
      "random_indices",
      [](std::uint64_t count, std::uint64_t k, std::uint64_t stream) {
        return as_array(released([&] { return random_indices(count, k, stream); }));
      },
      py::arg("count"), py::arg("k"), py::arg("stream"));
  module.def(
      "magnitude_sums",
      [](const Floats& x, int threads) {
        const MagnitudeSums s = released([&] { return magnitude_sums(span_of(x), threads); });
        return py::make_tuple(s.sum, s.sum_of_squares, s.sum_of_magnitudes, s.largest);
      },
      py::arg("x"), py::arg("threads"));
  module.def(
      "sample_magnitudes",
      [](const Floats& x) {
        return as_array(released([&] { return sample_magnitudes(span_of(x)); }));
      },
      py::arg("x"));
  module.def(
      "sidco_threshold",
      [](const Floats& x, double density, TailFit fit, int stages) {
        const SidcoThreshold found =
            released([&] { return sidco_threshold(span_of(x), density, fit, stages); });
        return py::make_tuple(found.value, found.stages);
      },
      py::arg("x"), py::arg("density"), py::arg("fit"), py::arg("stages"));
}

}  // namespace

void register_gradients(py::module_& module) {
  register_enums(module);
  py::class_<Quantizer>(module, "Quantizer")
      .def(py::init(&make_quantizer), py::arg("method"), py::arg("norm") = Norm::kL2,
           py::arg("levels") = 1, py::arg("bucket_size") = 0, py::arg("deviations") = 0,
           py::arg("stochastic") = false, py::arg("scale_type") = ScaleType::kFloat32)
      .def("to_nearest", [](Quantizer quantizer) {
        quantizer.stochastic = false;
        return quantizer;
      });
  module.def("compress_gradient", &compress, py::arg("array"), py::arg("type"),
             py::arg("quantizer"), py::arg("codec"), py::arg("stream") = 0,
             py::arg("zero_nonfinite") = false, py::arg("residual") = py::none(),
             py::arg("beta") = 1.0f, py::arg("gamma") = 1.0f, py::arg("next") = py::none());
  module.def("compress_levels", &compress_given, py::arg("levels"), py::arg("type"),
             py::arg("scales"), py::arg("bucket_size"), py::arg("codec"));
  module.def("compress_sparse", &compress_some, py::arg("shape"), py::arg("type"),
             py::arg("indices"), py::arg("values"), py::arg("random_stream"), py::arg("value_type"),
             py::arg("quantizer"), py::arg("codec"), py::arg("stream"), py::arg("sent"));
  module.def("quantize", &quantize_array, py::arg("array"), py::arg("type"), py::arg("quantizer"),
             py::arg("stream"), py::arg("zero_nonfinite"));
  module.def("inspect_gradient", &inspect, py::arg("frame"));
  module.def(
      "decompress_gradient",
      [](const py::object& frame, Floats out, bool add, float scale, int threads) {
        const Bytes in(frame, false);
        const std::span<float> target = span_of(out);
        const py::gil_scoped_release release;
        decompress_gradient(in.span(), target, add, scale, threads);
      },
      py::arg("frame"), py::arg("out").noconvert(), py::arg("add"), py::arg("scale"),
      py::arg("threads"));
  module.def(
      "decompress_sum",
      [](const std::vector<py::object>& frames, Floats out, const std::vector<float>& scales,
         int threads) {
        std::deque<Bytes> in;
        for (const py::object& frame : frames) in.emplace_back(frame, false);
        std::vector<std::span<const std::uint8_t>> spans;
        for (Bytes& bytes : in) spans.push_back(bytes.span());
        const std::span<float> target = span_of(out);
        const py::gil_scoped_release release;
        decompress_sum(spans, target, scales, threads);
      },
      py::arg("frames"), py::arg("out").noconvert(), py::arg("scales"), py::arg("threads"));
  const auto def_decompress_levels = [&](auto function) {
    module.def("decompress_levels", function, py::arg("frame"), py::arg("out").noconvert(),
               py::arg("add"), py::arg("scale"), py::arg("threads"));
  };
  def_decompress_levels(&read_levels<std::int8_t>);
  def_decompress_levels(&read_levels<std::int16_t>);
  module.def(
      "decompress_exactly",
      [](const py::object& frame, const py::object& out, int threads) {
        const Bytes in(frame, false);
        const Bytes target(out, true);
        const py::gil_scoped_release release;
        decompress_exactly(in.span(), target.span(), threads);
      },
      py::arg("frame"), py::arg("out"), py::arg("threads"));
  module.def(
      "combine",
      [](const Floats& x, const Floats& residual, float gamma, float beta, Floats out) {
        if (x.size() != residual.size() || x.size() != out.size()) {
          throw py::value_error("x, residual and out must have the same number of elements");
        }
        const std::span<float> sums = span_of(out);
        const py::gil_scoped_release release;
        combine(span_of(x), gamma, beta, span_of(residual), sums);
      },
      py::arg("x"), py::arg("residual"), py::arg("gamma"), py::arg("beta"),
      py::arg("out").noconvert());
  register_sparsify(module);
}

}  // namespace gradwire
