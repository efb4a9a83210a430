// The routes of the example service, in their styles over one store.
#pragma once

#include "server/tailrace.h"

namespace tailrace::api {

using http::json;  // the answer, not the namespace of the encoder

class Store;

// 10 000 events need more room than a request usually has.
inline constexpr std::size_t kMaxEventsBytes = std::size_t{16} << 20;

// The recommended style: what is encoded goes into a pooled buffer in one pass, keys are built in one
// allocation, vectors are sized before they are filled.
void add_users(App& app, Store& store);
void add_events(App& app);
void add_echo(App& app);

// The code that a hurried team writes: see naive_json.h. On the collected heap, whatever the request has.
void add_naive_users(App& app, Store& store);
void add_naive_events(App& app);
void add_naive_echo(App& app);

// GET P/churn?bytes=&object=&live= for both: every style allocates the same objects.
void add_churn(App& app);

}  // namespace tailrace::api
