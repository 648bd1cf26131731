#pragma once

#include <string>

#include "dataset.hpp"
#include "file.hpp"

namespace digits {

/// MNIST's four files, as Yann LeCun's page describes them: big-endian headers (magic, sizes), then a byte per pixel or
/// label. Every file may be plain or gzipped, whatever its name says.

struct Mnist {
  Dataset train, test;
};

/// Reads train-images-idx3-ubyte, train-labels-idx1-ubyte and their t10k- twins from a directory; each may also be
/// spelt with a dot (train-images.idx3-ubyte), and end in .gz. Throws FileError, as read_idx does.
Mnist read_mnist(const std::string& directory);

/// Reads one pair of files. Anything missing, truncated, corrupt or contradictory is a FileError with one line that
/// says file, offset (in the decompressed bytes, where there are such), what was expected and what was found. Memory is
/// taken as data arrives, never on a header's word.
Dataset read_idx(const std::string& images_path, const std::string& labels_path);

/// Writes one pair of files, gzipped where the name ends in .gz.
void write_idx(const std::string& images_path, const std::string& labels_path, const Dataset& set);

/// The bytes of such files.
Bytes idx_images(const Dataset& set);
Bytes idx_labels(const Dataset& set);
Bytes gzip(std::span<const std::uint8_t> bytes);

}  // namespace digits
