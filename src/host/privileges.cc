// capabilities(7), by the system call itself: five lines are no reason for a library.
#include "host/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace adieu::host {

Result<void> drop_all_privileges() { return keep_privileges({}); }

Result<void> keep_privileges(std::initializer_list<int> capabilities) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return failed_by_system("giving up new privileges", errno);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // Without CAP_SETPCAP the bounding set stays; no_new_privs makes it worthless.
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct had[2] = {};
  if (::syscall(SYS_capget, &header, had) < 0) return failed_by_system("reading capabilities", errno);
  __user_cap_data_struct left[2] = {};
  for (const int capability : capabilities) {
    const unsigned word = CAP_TO_INDEX(static_cast<unsigned>(capability));
    left[word].permitted |= had[word].permitted & CAP_TO_MASK(static_cast<unsigned>(capability));
    left[word].effective = left[word].permitted;
  }
  if (::syscall(SYS_capset, &header, left) < 0) return failed_by_system("giving up capabilities", errno);
  return {};
}

}  // namespace adieu::host
