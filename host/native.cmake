# The PC's side: every firmware library in one shared object that host/native.py loads, plus the
# models of the chip. Each part lists its own sources in its folder's CMakeLists.txt as an OBJECT
# library tokay_<part>.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(TOKAY_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=address,undefined)
endif()

add_library(tokay_native SHARED)
foreach(part IN ITEMS firmware/frontend firmware/nn firmware/detector firmware/app firmware/link host/simulator
        host/simulator/mvp host/metrics host/augmentation)
  get_filename_component(name ${part} NAME)
  add_subdirectory(${part})
  target_link_libraries(tokay_native PRIVATE tokay_${name})
endforeach()
find_library(TOKAY_LIBM m)
if(TOKAY_LIBM)
  target_link_libraries(tokay_native PRIVATE ${TOKAY_LIBM})
endif()
set_target_properties(tokay_native PROPERTIES LINKER_LANGUAGE C)
target_link_libraries(tokay_native PRIVATE ${CMAKE_DL_LIBS})
install(TARGETS tokay_native LIBRARY DESTINATION host/_native)
# A wheel brings what images are built of (host/places.py); an editable install has the clone.
if(SKBUILD AND NOT SKBUILD_STATE STREQUAL "editable")
  install(FILES CMakeLists.txt DESTINATION host/_sources)
  install(DIRECTORY firmware boards DESTINATION host/_sources)
endif()
