// Values and their text: what is printed is read back, and what is no value is refused with an example of one.
#include "host/text.h"

#include <gtest/gtest.h>

namespace adieu::host {
namespace {

TEST(Text, AddressesOfBothFamiliesAreReadBackAsPrinted) {
  for (const char* written :
       {"10.77.0.2", "0.0.0.0", "255.255.255.255", "fd77::2", "::", "::1", "2001:db8::ff00:42:8329"}) {
    const auto address = parse_address(written);
    ASSERT_TRUE(address) << written;
    EXPECT_EQ(text(*address), written);
  }
  EXPECT_EQ(parse_address("10.0.0.1")->family(), Family::V4);
  EXPECT_EQ(parse_address("fd77::2")->family(), Family::V6);
}

TEST(Text, AnIPv4AddressInIPv6ClothesIsRefused) { EXPECT_FALSE(parse_address("::ffff:10.0.0.1")); }

TEST(Text, EndpointsOfBothFamiliesAreReadBackAsPrinted) {
  for (const char* written : {"10.77.0.2:19", "[fd77::2]:65535", "0.0.0.0:0"}) {
    const auto endpoint = parse_endpoint(written);
    ASSERT_TRUE(endpoint) << written;
    EXPECT_EQ(text(*endpoint), written);
  }
}

TEST(Text, WhatIsNoEndpointIsRefused) {
  for (const char* written : {"", ":", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "fd77::2:80",
                              "[10.0.0.1]:80", "[fd77::2]80", "host:80", "10.0.0.1:80 "})
    EXPECT_FALSE(parse_endpoint(written)) << written;
}

TEST(Text, PrefixesHoldUpToTheirFamilysLength) {
  EXPECT_EQ(text(*parse_prefix("10.77.0.2/24")), "10.77.0.2/24");
  EXPECT_TRUE(parse_prefix("10.77.0.2/32"));
  EXPECT_FALSE(parse_prefix("10.77.0.2/33"));
  EXPECT_TRUE(parse_prefix("fd77::2/128"));
  EXPECT_FALSE(parse_prefix("fd77::2/129"));
  EXPECT_FALSE(parse_prefix("10.77.0.2"));
}

TEST(Text, DurationsAreReadBackExactly) {
  for (const Duration duration : {nanoseconds(1), microseconds(1500), milliseconds(500), seconds(25), minutes(2),
                                  hours(1), seconds(90), Duration{}, Duration{Duration::max().ns}})
    EXPECT_EQ(*parse_duration(text(duration)), duration) << text(duration);
  EXPECT_EQ(*parse_duration("1.5s"), milliseconds(1500));
  EXPECT_EQ(*parse_duration("0"), Duration{});
}

TEST(Text, WhatIsNoDurationIsRefused) {
  for (const char* written : {"", "s", "25", "-1s", "1 s", "1d", "1.2.3s", "9999999999999h", "1e9s", "nan s"})
    EXPECT_FALSE(parse_duration(written)) << written;
}

TEST(Text, IdentitiesAreReadBackAsPrinted) {
  const NamedId id{"half_closing_client-12", 4000000000U, 7};
  EXPECT_EQ(*parse_id(text(id)), id);
  for (const char* written : {"engine", "engine/1", "/1.2", "engine/1.", "engine/.1", "engine/1.2x", "engine/-1.2"})
    EXPECT_FALSE(parse_id(written)) << written;
}

TEST(Text, AnIncarnationHasSixteenDigits) {
  EXPECT_EQ(hex16(0xabcULL), "0000000000000abc");
  EXPECT_EQ(*parse_hex16("0000000000000abc"), 0xabcULL);
  EXPECT_FALSE(parse_hex16("abc"));
}

TEST(Text, ReadableDurationsAreRoundedDown) {
  EXPECT_EQ(readable(milliseconds(340)), "340 ms");
  EXPECT_EQ(readable(seconds(59)), "59.0 s");
  EXPECT_EQ(readable(seconds(250)), "4 min 10 s");
  EXPECT_EQ(readable(hours(26)), "1 d 2 h");
}

}  // namespace
}  // namespace adieu::host
