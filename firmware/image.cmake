# One board image. Called by host.build with
#   TOKAY_BOARD_DIR   folder with the generated board_config.h
#   TOKAY_CHIP        folder under firmware/chips
#   TOKAY_MODEL_DIR   what host.compile wrote; without it the bring-up image is built
#   TOKAY_ACCELERATOR mvp or none: whether the chip's accelerator is used
#   TOKAY_STACK_BYTES the stack that the linker reserves
#   TOKAY_VERSION     what the image says of its version
#   TOKAY_SWAPPABLE   whether the image takes models from flash slots
#   TOKAY_MODEL_SLOTS instead of an image: the model alone, for slots at these addresses
#   TOKAY_MODEL_LAYOUT what models and firmware must agree in, see host.model_layout
set(chip ${CMAKE_CURRENT_SOURCE_DIR}/firmware/chips/${TOKAY_CHIP})

set(CMAKE_C_FLAGS_RELEASE "-O2")

# The image depends on sources only: no path of this machine in it.
add_compile_options(
  -ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}=. -ffile-prefix-map=${CMAKE_CURRENT_BINARY_DIR}=build)
if(TOKAY_MODEL_DIR)
  add_compile_options(-ffile-prefix-map=${TOKAY_MODEL_DIR}=model)
endif()
# For host.stack: every function's frame and calls beside its object file.
add_compile_options(-fstack-usage -fcallgraph-info=su)

if(TOKAY_MODEL_SLOTS)
  include(firmware/model_slots.cmake)
  return()
endif()

file(GLOB chip_sources CONFIGURE_DEPENDS ${chip}/*.c)
if(TOKAY_ACCELERATOR STREQUAL "mvp")
  list(FILTER chip_sources EXCLUDE REGEX "/no_mvp\\.c$")
else()
  list(FILTER chip_sources EXCLUDE REGEX "/mvp\\.c$")
endif()
add_library(tokay_chip OBJECT ${chip_sources})
target_include_directories(tokay_chip PRIVATE ${chip} ${TOKAY_BOARD_DIR} firmware/hal firmware/nn
  firmware/nn/kernels/mvp)
# Interrupt handlers live here, and nothing of the FPU is saved for them.
target_compile_options(tokay_chip PRIVATE -mgeneral-regs-only)
target_link_libraries(tokay_chip PRIVATE tokay_warnings)

if(TOKAY_MODEL_DIR)
  include(firmware/model_image.cmake)
else()
  add_executable(tokay firmware/app/bringup.c firmware/app/format.c)
  target_include_directories(tokay PRIVATE firmware/hal firmware/app)
endif()
target_link_libraries(tokay PRIVATE tokay_chip tokay_warnings)
target_link_options(tokay PRIVATE -T${chip}/linker.ld -Wl,--defsym=TOKAY_STACK_BYTES=${TOKAY_STACK_BYTES}
  -Wl,-Map=$<TARGET_FILE_DIR:tokay>/tokay.map -Wl,--no-warn-rwx-segments)
set_target_properties(tokay PROPERTIES SUFFIX .elf LINK_DEPENDS ${chip}/linker.ld)
foreach(format IN ITEMS bin:binary hex:ihex)
  string(REPLACE ":" ";" pair ${format})
  list(GET pair 0 suffix)
  list(GET pair 1 kind)
  add_custom_command(TARGET tokay POST_BUILD
    COMMAND ${CMAKE_OBJCOPY} -O ${kind} $<TARGET_FILE:tokay> $<TARGET_FILE_DIR:tokay>/tokay.${suffix}
    VERBATIM)
endforeach()
