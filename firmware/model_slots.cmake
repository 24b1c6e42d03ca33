# A model without firmware: its generated constants, linked for each of the slots that it may be put in.
# The header in front is filled in by host.model_image, which knows length, hash and sequence number.
file(GLOB generated CONFIGURE_DEPENDS ${TOKAY_MODEL_DIR}/*.c)
add_library(model_constants OBJECT ${generated} firmware/app/model.c)
target_include_directories(model_constants PRIVATE firmware/app firmware/detector firmware/frontend firmware/nn
  firmware/nn/kernels/mvp ${TOKAY_MODEL_DIR})
target_link_libraries(model_constants PRIVATE tokay_warnings)
foreach(address IN LISTS TOKAY_MODEL_SLOTS)
  add_executable(model_${address} $<TARGET_OBJECTS:model_constants>)
  target_link_options(model_${address} PRIVATE -nostdlib -T${chip}/model_slot.ld
    -Wl,--defsym=MODEL_SLOT=${address} -Wl,--no-warn-rwx-segments)
  set_target_properties(model_${address} PROPERTIES SUFFIX .elf LINKER_LANGUAGE C LINK_DEPENDS ${chip}/model_slot.ld)
endforeach()
