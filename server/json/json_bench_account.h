// The text that the benchmarks read and write: a user of 464 bytes with 5 doubles, 5 integers, 18
// strings.
#pragma once

#include <string_view>

namespace tailrace::json::bench {

inline constexpr std::string_view kAccount =
    R"({"id":1234567,"name":"Johanna Wintergreen","email":"johanna@example.com","phone":"555-0134",)"
    R"("active":true,"score":8.75,"balance":1024.5,"rate":0.0375,"created":1700000000,)"
    R"("updated":1700086400,"logins":421,"level":7,"roles":["reader","writer","team-67","auditor"],)"
    R"("address":{"street":"12 High Street","city":"Springfield","country":"Freedonia","zip":"04567",)"
    R"("latitude":52.5163,"longitude":13.3777},)"
    R"("tags":["alpha","beta","tag-567","gamma","delta","epsilon","zeta"]})";

}  // namespace tailrace::json::bench
