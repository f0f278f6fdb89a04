// struct sockaddr <-> Endpoint.
//
// What lives here: the conversions as bind, connect, accept and recvfrom make them. What does not: text.
// An AF_INET6 socket speaks IPv4 through ::ffff:0:0/96, which is how Address holds IPv4 anyway.
#pragma once

#include <sys/socket.h>

#include <expected>

#include "base/address.h"

namespace adieu::packetdrill {

// The error is an errno. `domain`: of the socket.
std::expected<Endpoint, int> endpoint_from(int domain, const sockaddr* address, socklen_t length);

// Cut to *length, which becomes the full one, as accept(2) has it. Nothing if `address` is null.
void write_endpoint(int domain, const Endpoint& endpoint, sockaddr* address, socklen_t* length);

}  // namespace adieu::packetdrill
