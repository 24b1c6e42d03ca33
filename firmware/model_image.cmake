# The keyword spotter of one model: the libraries, the code that host.compile wrote, the application.
include(firmware/nn/kernels.cmake)
string(COMPARE EQUAL "${TOKAY_ACCELERATOR}" mvp mvp)
tokay_kernels(kernels TRUE ${mvp})

file(GLOB frontend CONFIGURE_DEPENDS firmware/frontend/*.c)
list(FILTER frontend EXCLUDE REGEX "/batch\\.c$") # whole clips on the PC's cores
file(GLOB generated CONFIGURE_DEPENDS ${TOKAY_MODEL_DIR}/*.c)

file(GLOB app CONFIGURE_DEPENDS firmware/app/*.c)
list(FILTER app EXCLUDE REGEX "/bringup\\.c$") # an image of its own
if(TOKAY_SWAPPABLE)
  list(FILTER app EXCLUDE REGEX "/model_fixed\\.c$")
  set_source_files_properties(firmware/app/model_slots.c PROPERTIES COMPILE_DEFINITIONS
    "TOKAY_MODEL_LAYOUT=${TOKAY_MODEL_LAYOUT}u;TOKAY_MVP=$<STREQUAL:${TOKAY_ACCELERATOR},mvp>")
else()
  list(FILTER app EXCLUDE REGEX "/model_slots\\.c$")
endif()
if(TOKAY_VERSION)
  set_source_files_properties(firmware/app/requests.c PROPERTIES COMPILE_DEFINITIONS
    "TOKAY_VERSION=\"${TOKAY_VERSION}\"")
endif()
file(GLOB link CONFIGURE_DEPENDS firmware/link/*.c)

add_executable(tokay ${app} ${link}
  firmware/detector/detector.c firmware/nn/nn.c ${frontend} ${kernels} ${generated})
target_include_directories(tokay PRIVATE firmware/app firmware/detector firmware/frontend firmware/hal
  firmware/link firmware/nn firmware/nn/kernels/mvp ${TOKAY_MODEL_DIR})
