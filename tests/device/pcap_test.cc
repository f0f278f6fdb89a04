// Capture files, read back as pcap-savefile(5) describes them, and what happens when the disk is full.
#include "device/pcap.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/rng.h"

namespace adieu::device {
namespace {

using namespace literals;
using Octets = std::vector<std::uint8_t>;

class Pcap : public testing::Test {
 protected:
  Pcap() : path_(testing::TempDir() + "adieu-pcap-" + std::to_string(::getpid()) + ".pcap") {}
  ~Pcap() override { ::unlink(path_.c_str()); }

  PcapWriter create(Duration offset = {}) {
    auto writer = PcapWriter::create(path_.c_str(), offset);
    EXPECT_TRUE(writer.has_value());
    return std::move(*writer);
  }
  Octets file() const {
    std::ifstream in(path_, std::ios::binary);
    return Octets(std::istreambuf_iterator<char>(in), {});
  }

  std::string path_;
};

std::uint32_t word(const Octets& octets, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, octets.data() + at, sizeof(value));
  return value;
}
struct Captured {
  std::uint64_t ns;
  std::uint32_t original_length;
  Octets octets;
};
// The packets of a well-formed file; nothing may be left over.
std::vector<Captured> read_back(const Octets& octets) {
  std::vector<Captured> packets;
  EXPECT_GE(octets.size(), 24U);
  std::size_t at = 24;
  while (at + 16 <= octets.size()) {
    const std::size_t length = word(octets, at + 8);
    if (at + 16 + length > octets.size()) break;
    const auto begin = octets.begin() + static_cast<std::ptrdiff_t>(at + 16);
    packets.push_back({word(octets, at) * 1'000'000'000ULL + word(octets, at + 4), word(octets, at + 12),
                       Octets(begin, begin + static_cast<std::ptrdiff_t>(length))});
    at += 16 + length;
  }
  EXPECT_EQ(at, octets.size()) << "the last packet is not whole";
  return packets;
}

TEST_F(Pcap, TheFileIsByteForByteWhatTheFormatSays) {
  {
    PcapWriter writer = create(1000_s);
    ASSERT_TRUE(writer.write(Octets{0x45, 1, 2}, Instant{5'000'000'007}).has_value());
  }
  const std::uint32_t words[] = {0xa1b23c4d, 4U << 16 | 2U, 0, 0, 65535, 101, 1005, 7, 3, 3};
  Octets expected(sizeof(words));
  std::memcpy(expected.data(), words, sizeof(words));  // this host's order, as the magic number tells; 2 before 4:
  if constexpr (std::endian::native == std::endian::big)
    std::swap_ranges(expected.begin() + 4, expected.begin() + 6, expected.begin() + 6);
  expected.insert(expected.end(), {0x45, 1, 2});
  EXPECT_EQ(file(), expected);
}

TEST_F(Pcap, ManyPacketsOfAllSizesComeBackAsTheyWere) {
  Rng rng(1);
  std::vector<Octets> sent;
  {
    PcapWriter writer = create();
    for (int i = 0; i < 300; ++i) {
      Octets packet(rng.below(i % 10 == 0 ? 65536 : 1500));
      for (auto& octet : packet) octet = static_cast<std::uint8_t>(rng.next());
      ASSERT_TRUE(writer.write(packet, Instant{i}).has_value());
      sent.push_back(std::move(packet));
    }
    EXPECT_TRUE(writer.is_capturing());
  }
  const auto packets = read_back(file());
  ASSERT_EQ(packets.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(packets[i].octets, sent[i]);
    EXPECT_EQ(packets[i].ns, i);
    EXPECT_EQ(packets[i].original_length, sent[i].size());
  }
}

TEST_F(Pcap, WhatIsFlushedIsInTheFile) {
  PcapWriter writer = create();
  ASSERT_TRUE(writer.write(Octets(10, 1), Instant{1}).has_value());
  EXPECT_EQ(file().size(), 0U);
  ASSERT_TRUE(writer.flush().has_value());
  EXPECT_EQ(read_back(file()).size(), 1U);
}

TEST_F(Pcap, AFullDeviceIsToldOnceAndThenNoMore) {
  auto writer = PcapWriter::create("/dev/full", {});
  ASSERT_TRUE(writer.has_value());
  ASSERT_TRUE(writer->write(Octets(10, 1), Instant{1}).has_value());
  const auto first = writer->flush();
  ASSERT_FALSE(first.has_value());
  EXPECT_EQ(first.error().code, ENOSPC);
  EXPECT_NE(std::string(first.error().advice), "");
  EXPECT_FALSE(writer->is_capturing());
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(writer->write(Octets(1000, 1), Instant{2}).has_value());
  EXPECT_TRUE(writer->flush().has_value());
}

TEST_F(Pcap, AWriteThatFillsTheBufferTellsTheErrorToo) {
  auto writer = PcapWriter::create("/dev/full", {});
  ASSERT_TRUE(writer.has_value());
  int errors = 0;
  for (int i = 0; i < 1000; ++i) errors += writer->write(Octets(1000, 1), Instant{2}).has_value() ? 0 : 1;
  EXPECT_EQ(errors, 1);
}

// A file system that is full after so many octets: the process's own limit on file size behaves like one.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::size_t octets) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = octets;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST_F(Pcap, AFullDiskLeavesTheWholePacketsInTheFile) {
  // A packet takes 16 + 100 octets after the file's 24; the disk ends within the file header, a packet's header, its
  // data, and exactly between two packets.
  const struct {
    std::size_t disk;
    std::size_t whole;
  } cases[] = {{0, 0},
               {23, 0},
               {24, 0},
               {24 + 15, 0},
               {24 + 116 - 1, 0},
               {24 + 116, 1},
               {24 + 116 * 3 + 1, 3},
               {24 + 116 * 4 + 50, 4}};
  for (const auto& [disk, whole] : cases) {
    SCOPED_TRACE(disk);
    int errors = 0;
    {
      PcapWriter writer = create();
      const FileSizeLimit limit(disk);
      for (int i = 0; i < 10; ++i) {
        errors += writer.write(Octets(100, 7), Instant{i}).has_value() ? 0 : 1;
        if (i % 2 == 0) errors += writer.flush().has_value() ? 0 : 1;  // so that the file is written in pieces
      }
      EXPECT_FALSE(writer.is_capturing());
    }
    EXPECT_EQ(errors, 1);
    const Octets octets = file();
    if (disk < 24) {
      EXPECT_EQ(octets.size(), 0U);
    } else {
      EXPECT_EQ(read_back(octets).size(), whole);
    }
  }
}

TEST_F(Pcap, APathThatCannotBeCreatedIsAClearError) {
  const auto writer = PcapWriter::create("/no/such/folder/capture.pcap", {});
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(writer.error().code, ENOENT);
  EXPECT_NE(std::string(writer.error().what), "");
}

TEST_F(Pcap, AMovedWriterGoesOnWhereItWas) {
  {
    PcapWriter first = create();
    ASSERT_TRUE(first.write(Octets(10, 1), Instant{1}).has_value());
    PcapWriter second = std::move(first);
    ASSERT_TRUE(second.write(Octets(20, 2), Instant{2}).has_value());
  }
  EXPECT_EQ(read_back(file()).size(), 2U);
}

}  // namespace
}  // namespace adieu::device
