# adieu_bpf(target header namespace): each <folder of the target>/bpf/<name>.bpf.c, compiled for the kernel and carried
# in the target as `Bytes k<Name>` of the namespace; `header` says so. What it needs of the kernel's types it declares
# itself, and the loader finds where they are in the kernel that runs: no header of the building machine's kernel.

find_program(ADIEU_BPF_CLANG NAMES clang-19 clang REQUIRED)

function(adieu_bpf target header namespace)
  get_target_property(folder ${target} SOURCE_DIR)
  string(REPLACE "adieu_" "" room ${target})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/src/${room}/bpf/*.bpf.c)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    string(SUBSTRING ${name} 0 1 first)
    string(TOUPPER ${first} first)
    string(SUBSTRING ${name} 1 -1 rest)
    set(constant k${first}${rest})
    set(object ${PROJECT_BINARY_DIR}/generated/${name}.bpf.o)
    set(carried ${PROJECT_BINARY_DIR}/generated/${name}_bpf.cc)
    add_custom_command(
      OUTPUT ${object}
      # -mcpu=v3: Linux 5.1. -g: BTF is made of it. The last folder is where Debian has <asm/types.h>.
      COMMAND ${ADIEU_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror
              -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -I ${PROJECT_SOURCE_DIR}/src
              -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
              -MD -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d
      VERBATIM)
    add_custom_command(
      OUTPUT ${carried}
      COMMAND ${CMAKE_COMMAND} -D object=${object} -D carried=${carried} -D name=${constant} -D header=${header}
              -D namespace=${namespace} -P ${PROJECT_SOURCE_DIR}/cmake/carry.cmake
      DEPENDS ${object} ${PROJECT_SOURCE_DIR}/cmake/carry.cmake
      VERBATIM)
    target_sources(${target} PRIVATE ${carried})
  endforeach()
endfunction()
