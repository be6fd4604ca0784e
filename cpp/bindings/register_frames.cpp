#include "arguments.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"
#include "gradwire/shared_code_book.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace gradwire {
namespace {

/// A view of an array, which the Python side has made C-contiguous and of native byte order.
struct PythonArray {
  PythonArray(const py::array& array, int dtype) {
    if (dtype < 0 || dtype >= kDTypeCount) throw py::value_error("unknown dtype number");
    shape = shape_of(array, item_size(static_cast<DType>(dtype)));
    view = {array.data(), static_cast<DType>(dtype), shape};
  }
  PythonArray(const PythonArray&) = delete;

  std::vector<std::uint64_t> shape;
  ArrayView view;
};

Options make_options(int codec, int threads, bool checksum, std::uint32_t sample_size,
                     std::uint64_t seed, std::uint32_t max_run,
                     std::shared_ptr<const SharedCodeBook> code_book) {
  return {static_cast<CodecId>(codec), threads, checksum, sample_size, seed, max_run,
          std::move(code_book)};
}

py::array compress(const py::array& array, int dtype, const Options& options) {
  const PythonArray input(array, dtype);
  return written_bytes(max_compressed_size(input.view),
                       [&](auto out) { return compress_into(input.view, options, out); });
}

std::size_t compress_to_buffer(const py::array& array, int dtype, const Options& options,
                               const py::object& buffer) {
  const PythonArray input(array, dtype);
  const Bytes out(buffer, true);
  const py::gil_scoped_release release;
  if (out.span().size() >= max_compressed_size(input.view)) {
    return compress_into(input.view, options, out.span());
  }
  std::vector<std::uint8_t> frame(max_compressed_size(input.view));
  frame.resize(compress_into(input.view, options, frame));
  if (frame.size() > out.span().size()) {
    throw BufferTooSmallError("the buffer has " + std::to_string(out.span().size()) +
                              " bytes, the frame needs " + std::to_string(frame.size()));
  }
  std::copy(frame.begin(), frame.end(), out.span().begin());
  return frame.size();
}

py::dtype numpy_dtype(DType dtype) {
  static constexpr const char* kNames[kDTypeCount] = {"?",  "i1", "i2", "i4", "i8",
                                                      "u1", "u2", "u4", "u8"};
  static const auto* const dtypes = [] {
    auto* made = new std::vector<py::dtype>;  // never freed: Python may have shut down by then
    for (const char* name : kNames) made->emplace_back(name);
    return made;
  }();
  return (*dtypes)[static_cast<std::size_t>(dtype)];
}

py::array decompress(const py::object& frame, std::uint64_t max_size, int threads) {
  const Bytes in(frame, false);
  const FrameInfo info = inspect(in.span(), Checksum::kIgnored);
  if (info.nbytes > max_size) {
    throw BufferTooSmallError("the frame decodes to " + std::to_string(info.nbytes) +
                              " bytes, max_size allows " + std::to_string(max_size));
  }
  py::array out(numpy_dtype(info.dtype), info.shape);
  const std::span<std::uint8_t> target{static_cast<std::uint8_t*>(out.mutable_data()),
                                       static_cast<std::size_t>(info.nbytes)};
  const py::gil_scoped_release release;
  decompress_into(in.span(), target, threads);
  return out;
}

void decompress_to_buffer(const py::object& frame, const py::object& out, int threads) {
  const Bytes in(frame, false);
  const Bytes target(out, true);
  const py::gil_scoped_release release;
  decompress_into(in.span(), target.span(), threads);
}

void decompress_add_to_buffer(const py::object& frame, const py::object& sum, int dtype,
                              int threads) {
  if (dtype < 0 || dtype >= kDTypeCount) throw py::value_error("unknown dtype number");
  const Bytes in(frame, false);
  const Bytes target(sum, true);
  const py::gil_scoped_release release;
  decompress_add(in.span(), target.span(), static_cast<DType>(dtype), threads);
}

/// The fields of FrameInfo in Python, except the number of bytes of the frame.
py::dict inspect_frame(const py::object& frame, bool verify) {
  const Bytes in(frame, false);
  FrameInfo info;
  {
    const py::gil_scoped_release release;
    info = inspect(in.span(), verify ? Checksum::kVerified : Checksum::kIgnored);
  }
  py::tuple shape(info.shape.size());
  for (std::size_t i = 0; i < info.shape.size(); ++i) shape[i] = py::int_(info.shape[i]);
  py::dict fields;
  fields["codec"] = codecs()[static_cast<std::size_t>(info.codec)].key;
  fields["layout"] = info.layout == 0 ? "classic" : info.layout == 1 ? "pivot" : "forms";
  fields["dtype"] = numpy_dtype(info.dtype);
  fields["shape"] = shape;
  fields["count"] = info.count;
  fields["decoded_nbytes"] = info.nbytes;
  fields["code_length"] = info.code_length;
  fields["code_book_bytes"] = info.code_book_bytes;
  fields["chunks"] = info.chunks;
  fields["raw_chunks"] = info.raw_chunks;
  fields["checksum"] = info.checksum;
  fields["shared_code_book"] = info.shared_code_book;
  fields["version"] = info.version;
  return fields;
}

/// Rows of (bits of the value, run length, whether this is the escape, code word, class of blocks).
py::list frame_code_words(const py::object& frame) {
  const Bytes in(frame, false);
  py::list rows;
  for (const CodeWord& word : code_words(in.span())) {
    rows.append(py::make_tuple(word.value, word.run, word.escape, word.bits, word.block_class,
                               word.part, word.field_bits));
  }
  return rows;
}

py::tuple frame_run_length_widths(const py::object& frame) {
  const Bytes in(frame, false);
  const RunLengthWidths widths = run_length_widths(in.span());
  return py::make_tuple(widths.minimum, widths.value_bits, widths.run_bits);
}

}  // namespace

void register_frames(py::module_& module) {
  py::tuple dtypes(kDTypeCount);  // made now, before several threads can ask for them
  for (std::uint8_t i = 0; i < kDTypeCount; ++i) dtypes[i] = numpy_dtype(static_cast<DType>(i));
  module.attr("DTYPES") = dtypes;
  py::class_<SharedCodeBook, std::shared_ptr<SharedCodeBook>>(module, "SharedCodeBook")
      .def_static(
          "fit",
          [](const py::array& sample, int dtype) {
            return std::const_pointer_cast<SharedCodeBook>(
                SharedCodeBook::fit(PythonArray(sample, dtype).view));
          },
          py::arg("sample"), py::arg("dtype"))
      .def_static(
          "read",
          [](const py::object& data) {
            const Bytes in(data, false);
            return std::const_pointer_cast<SharedCodeBook>(SharedCodeBook::read(in.span()));
          },
          py::arg("data"))
      .def("to_bytes", [](const SharedCodeBook& book) {
        const auto bytes = book.bytes();
        return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      });
  py::class_<Options>(module, "Options")
      .def(py::init(&make_options), py::arg("codec"), py::arg("threads") = 0,
           py::arg("checksum") = true, py::arg("sample_size") = Options{}.sample_size,
           py::arg("seed") = Options{}.seed, py::arg("max_run") = Options{}.max_run,
           py::arg("code_book") = py::none());
  module.def(
      "max_compressed_size",
      [](const py::array& array, int dtype) {
        return max_compressed_size(PythonArray(array, dtype).view);
      },
      py::arg("array"), py::arg("dtype"));
  module.def("compress", &compress, py::arg("array"), py::arg("dtype"), py::arg("options"));
  module.def("compress_into", &compress_to_buffer, py::arg("array"), py::arg("dtype"),
             py::arg("options"), py::arg("buffer"));
  module.def("decompress", &decompress, py::arg("frame"), py::arg("max_size"), py::arg("threads"));
  module.def("decompress_into", &decompress_to_buffer, py::arg("frame"), py::arg("out"),
             py::arg("threads"));
  module.def("decompress_add", &decompress_add_to_buffer, py::arg("frame"), py::arg("sum"),
             py::arg("dtype"), py::arg("threads"));
  module.def("inspect", &inspect_frame, py::arg("frame"), py::arg("verify"));
  module.def("code_words", &frame_code_words, py::arg("frame"));
  module.def("run_length_widths", &frame_run_length_widths, py::arg("frame"));
}

}  // namespace gradwire
